"""A report's command is the one that was typed, without where that run went."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fraudit.audit.folders import default_run_dir
from fraudit.audit.plan import AuditPlan
from fraudit.audit.typed import TYPED, repeated, typed
from fraudit.cli.main import run
from fraudit.cli.outcome import tell
from fraudit.types import AnalysisResult
from tests.fixtures.onnx_models import onnx_card, onnx_model
from tests.fixtures.run_record import build_record


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("doctor --embedder card.toml --out runs/x --quiet", "fraudit doctor --embedder card.toml"),
        ("twins a b --junit t.xml --expect same", "fraudit twins a b --expect same"),
        (
            "doctor --embedder c.toml --fix=d.toml --try channels",
            "fraudit doctor --embedder c.toml --try channels",
        ),
        ("rivals --embedder dlib --overwrite", "fraudit rivals --embedder dlib"),
        ("analyze --embedder dlib", ""),
        ("", ""),
    ],
)
def test_what_is_about_the_folder_alone_is_left_out(words: str, expected: str) -> None:
    assert repeated(words.split()) == expected


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        ("twins dlib card.toml", "twins-dlib-sample-"),
        ("protection --embedder dlib", "protection-dlib-sample-"),
        ("analyze --embedder dlib", "dlib-sample-"),
    ],
)
def test_a_folder_that_nobody_named_names_its_command(words: str, begins: str) -> None:
    """Runs of several commands lie beside each other in runs/."""
    with typed(words.split()):
        assert default_run_dir(AuditPlan("dlib", "sample")).name.startswith(begins)


def test_the_record_of_a_doctor_holds_the_doctors_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAUDIT_CACHE", str(tmp_path / "cache"))
    card, out = onnx_card(tmp_path, onnx_model()), tmp_path / "run"
    run(["doctor", "--embedder", card, "--sanity-only", "--limit", "40", "--quiet", "--out", str(out)])
    (record,) = [json.loads(path.read_text()) for path in out.rglob("run.json")]
    command = f"fraudit doctor --embedder {card} --sanity-only --limit 40"
    assert record["environment"]["command"] == command
    page = (out / "report" / "index.html").read_text(encoding="utf-8")
    assert command in page.replace('<span class="nb">--', "--").replace("</span>", "")
    assert TYPED.get() == ""


def test_a_failed_analysis_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its error's hint stands below it in the terminal, as it does in the report."""
    failed = AnalysisResult("leakage", "Leakage", "failed", "the service answers 401: 'no key'")
    failure = {"analysis": "leakage", "error": failed.reason, "hint": "check $KEY", "traceback": ""}
    record = replace(build_record(), results=(failed,), failures=(failure,))
    assert tell(record, tmp_path, tmp_path / "index.html", quiet=False, as_json=False) == 7
    assert capsys.readouterr().err.splitlines() == [f"[failed] leakage: {failed.reason}", "hint: check $KEY"]
