"""`fraudit rivals` and `fraudit train-rival` refuse what cannot work in one line, before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from fraudit.cli.main import run


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["rivals", "--embedder", "dlib", "--methods", "gausian"], "unknown method 'gausian'"),
        (["rivals", "--embedder", "dlib", "--samples", "1"], "samples: expected at least 2, found 1"),
        (["rivals", "--embedder", "dlib", "--max-queries", "0"], "questions: expected at least 1"),
        (["rivals", "--embedder", "dlib", "--local", "dlib"], "it is the audited model itself"),
        (["rivals", "--embedder", "dlib", "--local", "nobody"], "unknown embedder 'nobody'"),
        (["rivals", "--embedder", "dlib", "--inverter", "nowhere"], "holds no trained inverter"),
        (["rivals", "--embedder", "dlib", "--param", "bias.x=1"], "expected parameters of rivals"),
        (["analyze", "--embedder", "dlib", "--inverter", "gaussian"], "made to be compared"),
        (["train-rival", "vec", "--embedder", "dlib", "--out", "new"], "unknown method 'vec'"),
        (["train-rival", "nbnet", "--embedder", "dlib", "--out", "new", "--row", "F"], "no option of nbnet"),
        (["train-rival", "dibigan", "--embedder", "dlib", "--out", "new", "--row", "G"], "unknown row 'G'"),
        (["train-rival", "dibigan", "--embedder", "dlib", "--out", "new"], "nothing to train on"),
        (
            [
                *[
                    "train-rival",
                    "nbnet",
                    "--embedder",
                    "dlib",
                    "--out",
                    "new",
                    "--dataset",
                    "sample",
                    "--device",
                    "abacus",
                ]
            ],
            "device 'abacus' cannot be used",
        ),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(
    words: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(words) != 0
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error
    assert not list(tmp_path.iterdir())


def test_a_dry_run_of_a_training_prints_its_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train-rival", "dibigan", "--embedder", "dlib", "--out", "x", "--row", "E", "--dry-run"]) == 0
    assert '"row": "E"' in capsys.readouterr().out
