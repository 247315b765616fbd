"""A file of another kind than was asked for is said to be what it seems to be, in one line, with what was expected."""

from __future__ import annotations

from pathlib import Path

import pytest

from fraudit.audit.plan import plan_from_toml
from fraudit.compare.gate.rules import read_gate
from fraudit.embedding.cards import parse_card
from fraudit.errors import FrauditError
from fraudit.files.kinds import KINDS
from fraudit.scorers.loading import load_http

CARD = """name = "m"
model = "m.onnx"
size = [112, 112]
mean = 127.5
std = 127.5
channels = "RGB"
template = "arcface-112"
dim = 128
"""
SERVICE = """kind = "http"
name = "m"
url = "http://127.0.0.1:9"
size = [112, 112]
template = "arcface-112"
dim = 8
"""
FILES = {
    "card": CARD,
    "scorer": 'kind = "http"\nname = "box"\nurl = "http://127.0.0.1:9"\nleft_key = "a"\nright_key = "b"\n',
    "plan": 'embedder = "dlib"\ndataset = "sample"\nonly = ["verification"]\n',
    "rules": '[rules]\n"eer" = { max = 0.1 }\n',
    "project": '[project]\nname = "x"\n',
}
READERS = {
    "card": parse_card,
    "scorer": lambda path: load_http(str(path)),
    "plan": plan_from_toml,
    "rules": read_gate,
}
OTHERS = {
    "": "an empty file",
    "# size = 3\n": "nothing but comments",
    "dear diary\n": "text that is not TOML",
    "\x89PNG\x00\x00": "a file that is no text",
    '{"schema": "fraudit-policy/1"}': "a policy (JSON)",
    '{"schema": "fraudit-run"}': "a run's record (JSON)",
    "[1, 2": "text that is not TOML",
}


def _said(reader: str, path: Path) -> FrauditError:
    with pytest.raises(FrauditError) as caught:
        READERS[reader](path)
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("given", FILES)
def test_another_kind_is_named_with_the_way_to_give_it(reader: str, given: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(FILES[given])
    if reader == given:
        READERS[reader](path)
        return
    error = _said(reader, path)
    assert error.message == f"{path}: expected {KINDS[reader][0]}, found {KINDS[given][0]}"
    assert KINDS[given][1].format(name="x.toml") in error.hint


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("text", OTHERS)
def test_what_is_of_no_kind_is_said_to_be_what_it_is(reader: str, text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes(text.encode("latin-1"))
    error = _said(reader, path)
    assert error.message.startswith(f"{path}: expected {KINDS[reader][0]}, found {OTHERS[text]}")
    assert error.hint


def test_the_card_of_a_service_that_gives_vectors_is_no_scorers(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(SERVICE)
    assert parse_card(path).kind == "http"
    assert "found a card of a model" in _said("scorer", path).message


@pytest.mark.parametrize(
    ("reader", "text", "said"),
    [
        ("card", CARD.replace("dim", "dimension"), "the key 'dim' is missing"),
        ("card", 'kind = "http"\nname = "box"\nurl = "http://127.0.0.1:9"\n', "the key 'size' is missing"),
        ("rules", '[rule]\n"eer" = { max = 0.1 }\n', "unknown table 'rule'"),
        ("plan", 'embeder = "dlib"\n', "unknown key 'embeder'"),
        ("card", "answer = 42\n", "other TOML (its first key is 'answer')"),
    ],
)
def test_a_close_miss_keeps_its_own_message(reader: str, text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text(text)
    assert said in _said(reader, path).message


def test_a_plan_may_be_empty_where_the_command_line_names_the_model(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("# later\n")
    assert plan_from_toml(path, {"embedder": "dlib"}).embedder == "dlib"
