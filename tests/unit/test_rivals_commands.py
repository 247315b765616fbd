"""`fraudit rivals` and `fraudit train-rival` refuse what cannot work in one line, before anything is loaded."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fraudit.cli.main import run


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["rivals", "--embedder", "dlib", "--methods", "gausian"], "unknown method 'gausian'"),
        (
            ["rivals", "--embedder", "dlib", "--samples", "1"],
            "--samples: expected at least 2, found 1\nhint: how much",
        ),
        (
            ["rivals", "--embedder", "dlib", "--max-queries", "0"],
            "--max-queries: expected at least 1, found 0\nhint: an in",
        ),
        (
            ["rivals", "--embedder", "dlib", "--param", "rivals.samples=1"],
            "rivals: samples: expected at least 2",
        ),
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


@pytest.mark.parametrize("option", ["--people", "--samples", "--max-queries", "--pool"])
def test_help_and_error_agree_on_the_least_value(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rivals", "--help"]) == 0
    told = " ".join(capsys.readouterr().out.split()).split(f" {option} <int>")[1]
    least = int(re.search(r"at least (\d+)\.? \[default", told)[1])
    assert run(["rivals", "--embedder", "dlib", option, str(least - 1)]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert error == f"error: {option}: expected at least {least}, found {least - 1}"
    assert hint.startswith("hint: ")
    # the least value itself is taken: what is refused then is another option
    assert run(["rivals", "--embedder", "dlib", option, str(least), "--methods", "gausian"]) == 2
    assert "unknown method" in capsys.readouterr().err


def test_a_dry_run_of_a_training_prints_its_recipe(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["train-rival", "dibigan", "--embedder", "dlib", "--out", "x", "--row", "E", "--dry-run"]) == 0
    assert '"row": "E"' in capsys.readouterr().out
