"""A report's command is the one that was typed, without where that run went."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fraudit.audit.typed import TYPED, repeated
from fraudit.cli.main import run
from tests.fixtures.onnx_models import onnx_card, onnx_model


@pytest.mark.parametrize(
    ("typed", "expected"),
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
def test_what_is_about_the_folder_alone_is_left_out(typed: str, expected: str) -> None:
    assert repeated(typed.split()) == expected


def test_the_record_of_a_doctor_holds_the_doctors_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAUDIT_CACHE", str(tmp_path / "cache"))
    card, out = onnx_card(tmp_path, onnx_model()), tmp_path / "run"
    run(["doctor", "--embedder", card, "--sanity-only", "--limit", "40", "--quiet", "--out", str(out)])
    (record,) = [json.loads(path.read_text()) for path in out.rglob("run.json")]
    command = f"fraudit doctor --embedder {card} --sanity-only --limit 40"
    assert record["environment"]["command"] == command
    assert command in (out / "report" / "index.html").read_text(encoding="utf-8")
    assert TYPED.get() == ""
