"""What is wrong with the folder, the models or the inverter is said before the set is opened or a model loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fraudit.cli.main import run as command
from fraudit.plugins import SCORERS
from fraudit.report.record import RunRecord
from fraudit.types import ARCFACE_112, LoadedScorer, Preprocess, ScorerPlugin, ScorerSpec

CARD = """
name = "small"
model = "missing.onnx"
size = [112, 112]
mean = [127.5, 127.5, 127.5]
std = [127.5, 127.5, 127.5]
channels = "RGB"
template = "arcface-112"
dim = 64
"""


def noticed(capsys: pytest.CaptureFixture[str], *words: str | Path) -> str:
    """The error of a command that was refused before its set was opened."""
    assert command(["analyze", "--dataset", "sample", *map(str, words)]) in (2, 4, 5, 6)
    said = capsys.readouterr().err.strip().splitlines()
    assert said[0].startswith("error: "), said
    assert len(said) <= 2
    return said[0]


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A finished run, with its report."""
    folder = tmp_path / "run"
    RunRecord({}, {}, {}).save(folder)
    (folder / "report").mkdir()
    (folder / "report" / "index.html").write_text("made")
    return folder


@pytest.fixture
def scorer() -> Iterator[str]:
    """A scorer that may not be asked."""

    def load(target: str) -> LoadedScorer:
        spec = ScorerSpec("unasked", Preprocess((112, 112), ARCFACE_112))
        return LoadedScorer(spec, lambda lefts, rights: 1 / 0, "3" * 64)

    SCORERS.register("unasked", ScorerPlugin("unasked", load))
    yield "unasked:"
    SCORERS.unregister("unasked")


def test_a_folder_that_holds_a_finished_run_is_refused_first_whatever_the_black_box(
    finished: Path, scorer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "v.npz", ids=np.array(["a"]), vectors=np.ones((1, 4), np.float32))
    for box in (["--embedder", "dlib"], ["--vectors", tmp_path / "v.npz"], ["--scorer", scorer]):
        assert "holds a finished run" in noticed(capsys, *box, "--out", finished)
    (finished / "run.json").write_text("{}")
    for box in (["--embedder", "dlib"], ["--vectors", tmp_path / "v.npz"], ["--scorer", scorer]):
        assert "is no run of fraudit" in noticed(capsys, *box, "--out", finished, "--overwrite")
    assert (finished / "report" / "index.html").read_text() == "made"


def test_a_run_stays_where_the_new_models_are_not_there(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = ("--out", finished, "--overwrite")
    (finished.parent / "card.toml").write_text(CARD)
    dlib = ("--embedder", "dlib")
    for words, reason in (
        (("--embedder", finished.parent / "none.toml"), "no card"),
        (("--embedder", finished.parent / "card.toml"), "no model file"),
        ((*dlib, "--weights", finished.parent / "none.dat"), "no weights file"),
        ((*dlib, "--judge", finished.parent / "card.toml"), "no model file"),
        ((*dlib, "--inverter", finished.parent / "none"), "no such folder"),
        ((*dlib, "--inverter", finished), "holds no trained inverter"),
        (("--scorer", finished.parent / "none.toml"), "no card"),
    ):
        assert reason in noticed(capsys, *words, *again)
    assert RunRecord.load(finished).status == "complete"
    assert (finished / "report" / "index.html").read_text() == "made"


def test_compare_refuses_a_folder_of_others_before_it_reads_the_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "index.html").write_text("my site")
    runs = [str(tmp_path / "no-run"), str(tmp_path / "nor-this")]
    for out, reason in ((tmp_path, "files of another program"), (tmp_path / "index.html", "is a file")):
        assert command(["compare", *runs, "--out", str(out)]) == 2
        assert reason in capsys.readouterr().err
