"""Secrets are hidden in whatever form software repeats them, and nothing else is."""

from __future__ import annotations

import base64
import html
import json
import urllib.parse

import pytest

from fraudit.errors import DataError
from fraudit.files.store import write_text_atomic
from fraudit.redact import excerpt, redact, remember
from fraudit.report.record import RunRecord
from fraudit.types import AnalysisResult, Finding

SECRET = 'sk-"THIS"/is+the & <SECRET>%8d1f'


def forms(secret: str) -> dict[str, str]:
    """How services and libraries repeat a text."""
    return {
        "plain": secret,
        "lower": secret.lower(),
        "url": urllib.parse.quote(secret, safe=""),
        "url lower": urllib.parse.quote(secret, safe="").lower(),
        "url plus": urllib.parse.quote_plus(secret),
        "url all": "".join(f"%{ord(c):02X}" for c in secret),
        "json": json.dumps(secret)[1:-1],
        "json slash": json.dumps(secret)[1:-1].replace("/", "\\/"),
        "json twice": json.dumps(json.dumps(secret)),
        "json all": "".join(f"\\u{ord(c):04x}" for c in secret),
        "html": html.escape(secret),
        "html numeric": "".join(f"&#{ord(c)};" for c in secret),
        "python": repr(secret.encode()),
        "hex": secret.encode().hex().upper(),
        "base64": base64.b64encode(secret.encode()).decode(),
        "base64 in a header": base64.b64encode(f"Bearer {secret}".encode()).decode(),
        "base64 after one": base64.b64encode(f"x{secret}y".encode()).decode(),
        "base64 url": base64.urlsafe_b64encode(f"ab{secret}".encode()).decode(),
        "beginning": secret[:14],
        "end": secret[-14:],
    }


@pytest.mark.parametrize("form", list(forms("a")))
@pytest.mark.parametrize("secret", [SECRET, "sk-THIS-IS-THE-SECRET-8d1f", "~~~??>>>ÿ".replace("ÿ", "y") * 3])
def test_every_form_of_a_secret_is_hidden(secret: str, form: str) -> None:
    remember(secret, "BOX_KEY")
    text = redact(f"you sent: {forms(secret)[form]} !")
    assert "$BOX_KEY" in text
    assert (
        len(text) < len("you sent: [$BOX_KEY][$BOX_KEY] !") + 12
    )  # and nothing of it is left beside the mark


def test_a_password_is_hidden_where_the_secret_is_its_base64() -> None:
    remember(base64.b64encode(b"user:correct horse").decode(), "BASIC")
    assert redact("no user user:correct horse") == "no user [$BASIC]"
    assert redact("wrong password 'correct horse'") == "wrong password '[$BASIC]'"


def test_other_texts_stay_and_a_short_secret_counts_where_it_stands_alone() -> None:
    assert redact("nothing is known") == "nothing is known"
    remember("abcd", "K")
    assert redact("abcdef and xabcd, but 'abcd'") == "abcdef and xabcd, but '[$K]'"
    remember("one", "SHORT")
    assert redact("one pair a request") == "one pair a request"


def test_an_answer_is_cleaned_before_it_is_cut() -> None:
    remember(SECRET, "K")
    said = excerpt(b"x" * 110 + SECRET.encode(), 120)
    assert "sk-" not in said


def test_errors_records_and_files_hold_no_secret(tmp_path) -> None:
    remember(SECRET, "K")
    error = DataError(f"it answers {SECRET}", f"hint {SECRET}")
    assert (str(error), error.message, error.hint) == ("it answers [$K]", "it answers [$K]", "hint [$K]")
    result = AnalysisResult("bias", "Bias", headline=SECRET, findings=(Finding("info", SECRET, (), "rule"),))
    failure = {"analysis": "bias", "error": SECRET, "traceback": f"File x\n  {json.dumps(SECRET)}"}
    record = RunRecord({"note": SECRET}, {"command": SECRET}, {SECRET: [SECRET]}, (result,), (failure,))
    assert "SECRET" not in record.to_json()
    write_text_atomic(tmp_path / "x.txt", f"<p>{html.escape(SECRET)}</p>")
    assert (tmp_path / "x.txt").read_text() == "<p>[$K]</p>"
