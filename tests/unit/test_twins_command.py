"""`fraudit twins` from the command line over planted stored vectors: exit codes, what is printed, JUnit, the report."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from fraudit.analyses.twins import ANALYSIS
from fraudit.analyses.twins.params import Params
from fraudit.cli.main import app, run
from fraudit.cli.twins import _tell
from fraudit.errors import DataError, InsufficientData
from fraudit.faces.readers import LANDMARK_COLUMNS
from fraudit.report.record import RunRecord
from fraudit.types import ARCFACE_112, AnalysisResult
from tests.fixtures.boxes import identity_faces
from tests.fixtures.contexts import planted_context

PEOPLE, EACH, DIM = 120, 3, 32


def picture_set(folder: Path, people: int) -> tuple[str, list[str]]:
    """(manifest, ids) of grey pictures that show nobody; every other person is a woman."""
    points = ",".join(f"{v:.3f}" for v in ARCFACE_112.ravel())
    lines, ids = ["path,subject,gender," + ",".join(LANDMARK_COLUMNS)], []
    folder.mkdir(parents=True)
    for i in range(people * EACH):
        who = i // EACH
        ids.append(f"p{who:03d}_{i:03d}.png")
        Image.fromarray(np.full((16, 16, 3), i % 250, np.uint8)).save(folder / ids[-1])
        lines.append(f"{ids[-1]},{who},{'woman' if who % 2 else 'man'},{points}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    return str(folder / "manifest.csv"), ids


def vectors(people: int = PEOPLE, within: float = 0.5) -> np.ndarray:
    rng = np.random.default_rng(8)
    who = np.arange(people * EACH) // EACH
    rows = rng.normal(size=(people, DIM))[who] + within * rng.normal(size=(len(who), DIM))
    return np.concatenate([rows, np.zeros((len(who), 1))], axis=1)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The set, and files of vectors: the old model's, rounded, copied, shifted, turned."""
    folder = tmp_path_factory.mktemp("twins")
    manifest, ids = picture_set(folder / "faces", PEOPLE)
    rows = vectors()
    shifted = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    shifted[:, -1] = 0.6
    turn = np.linalg.qr(np.random.default_rng(2).normal(size=(DIM + 1, DIM + 1)))[0]
    worlds = {
        "old": rows,
        "copy": rows,
        "rounded": rows.astype(np.float16),
        "shifted": shifted,
        "turned": rows @ turn,
    }
    out = {"manifest": manifest}
    for name, made in worlds.items():
        out[name] = str(folder / f"{name}.npz")
        np.savez(out[name], ids=np.array(ids), vectors=made.astype(np.float32))
    return out


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FRAUDIT_CACHE", str(tmp_path / "cache"))


def command(planted: dict[str, str], old: str, new: str, folder: Path, *more: str) -> list[str]:
    names = [planted.get(name, name) for name in (old, new)]
    out = ["--out", str(folder / "run"), "--junit", str(folder / "twins.xml")]
    return ["twins", *names, "--dataset", planted["manifest"], *out, *more]


def asked(planted: dict[str, str], old: str, new: str, folder: Path, *more: str) -> tuple[int, str]:
    """(exit code, what was printed)."""
    found = CliRunner().invoke(app, command(planted, old, new, folder, *more), standalone_mode=False)
    assert found.exception is None, found.exception
    return int(found.return_value or 0), found.output


def cases(folder: Path) -> dict[str, ElementTree.Element]:
    return {str(c.get("name")): c for c in ElementTree.parse(folder / "twins.xml").iter("testcase")}


def text(case: ElementTree.Element) -> str:
    return "".join(case.itertext())


def test_a_rounded_model_is_the_same(planted: Any, tmp_path: Path) -> None:
    code, said = asked(planted, "old", "rounded", tmp_path, "--expect", "same")
    assert code == 0
    assert "verdict: same" in said
    assert "to the last bit" not in said
    found = cases(tmp_path)
    assert not any(case.find("failure") is not None for case in found.values())
    assert "at least 0.9999" in text(found["cosine of the same face"])
    page = (tmp_path / "run" / "report" / "index.html").read_text()
    assert "rounded against old on" in page
    assert json.loads((tmp_path / "run" / "run.json").read_text())["title"].endswith(": same")


def test_a_copy_passes_and_it_is_said_that_it_is_one(planted: Any, tmp_path: Path) -> None:
    code, said = asked(planted, "old", "copy", tmp_path)
    assert code == 0
    assert "Both sides are the same model" in said


def test_another_model_fails_and_the_cases_hold_the_evidence_with_their_limits(
    planted: Any, tmp_path: Path
) -> None:
    code, said = asked(planted, "old", "turned", tmp_path)
    assert code == 1
    assert "verdict: different" in said
    lines = [line for line in said.splitlines() if line.startswith("[")]
    figures = [line.split("points; n")[0].rsplit("%", 2)[-1] for line in lines if "points; n" in line]
    assert len(figures) == len(set(figures)), said
    found = cases(tmp_path)
    failed = [name for name, case in found.items() if case.find("failure") is not None]
    assert any("at a threshold of their own" in name for name in failed), failed
    conditions = [case for name, case in found.items() if "FMR" in name]
    assert conditions
    for case in conditions:
        assert "a rise of at most" in text(case)
        assert "%" in text(case)
    assert "turned against old" in (tmp_path / "run" / "report" / "index.html").read_text()


def test_what_an_expectation_allows_is_no_failure(planted: Any, tmp_path: Path) -> None:
    code, _ = asked(planted, "old", "shifted", tmp_path, "--expect", "needs its own threshold")
    assert code in (0, 3)
    assert not any(case.find("failure") is not None for case in cases(tmp_path).values())
    assert asked(planted, "old", "shifted", tmp_path, "--overwrite")[0] == 1


def test_too_few_people_are_too_little_data_as_for_every_command(
    planted: Any, tmp_path: Path, capsys: Any
) -> None:
    assert run(command(planted, "old", "rounded", tmp_path, "--limit", "60", "--quiet")) == 5
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("error: twins was not run: ")
    assert second.startswith("hint: ")
    assert ElementTree.parse(tmp_path / "twins.xml").getroot()[0].get("errors") == "1"


@pytest.mark.parametrize(
    ("old", "new", "more", "expected"),
    [
        ("old", "turned", ["--attributes", "gendre"], "has no attribute 'gendre'"),
        ("old", "turned", ["--param", "twins.margn=0.1"], "unknown parameter 'margn'"),
        ("old", "old", [], "expected two models, found"),
        ("dlib", "dlib", [], "expected two models, found 'dlib' twice"),
    ],
)
def test_usage_is_refused_before_anything_runs(
    old: str, new: str, more: list[str], expected: str, planted: Any, tmp_path: Path, capsys: Any
) -> None:
    assert run(command(planted, old, new, tmp_path, *more)) == 2
    said = capsys.readouterr()
    assert expected in said.err
    assert len([line for line in said.err.splitlines() if line.startswith("error")]) == 1
    assert not (tmp_path / "run").exists()
    (case,) = cases(tmp_path).values()
    assert case.find("error") is not None


def test_a_near_attribute_is_suggested(planted: Any, tmp_path: Path, capsys: Any) -> None:
    assert run(command(planted, "old", "turned", tmp_path, "--attributes", "gendre")) == 2
    assert "did you mean 'gender'?" in capsys.readouterr().err


@pytest.mark.parametrize("second", ["dlibb", "absent.toml", "absent.npz", "python:absent:embed", "card"])
def test_a_wrong_second_model_is_said_before_the_set_is_opened(
    second: str, planted: Any, tmp_path: Path, capsys: Any
) -> None:
    if second == "card":
        (tmp_path / "card.toml").write_text(
            'name = "x"\nmodel = "absent.onnx"\nsize = [112, 112]\ndim = 8\ntemplate = "arcface-112"\n'
            'mean = [127.5, 127.5, 127.5]\nstd = [127.5, 127.5, 127.5]\nchannels = "RGB"\n'
        )
        second = str(tmp_path / "card.toml")
    for pair in ((planted["old"], second), ("python:numpy:asarray", second)):
        assert run(command({"manifest": planted["manifest"]}, *pair, tmp_path)) not in (0, 1, 3)
        said = capsys.readouterr().err
        assert "absent" in said or second in said
        assert "opening" not in said


def test_a_comparison_that_failed_is_an_error_in_the_file_and_in_the_code(
    planted: Any, tmp_path: Path
) -> None:
    assert asked(planted, "old", "rounded", tmp_path)[0] == 0
    record = RunRecord.load(tmp_path / "run")
    failed = replace(record, results=(AnalysisResult("twins", "Twins", "failed", "it broke"),))
    with pytest.raises(DataError, match="it broke"):
        _tell(failed, tmp_path / "run", "interchangeable", tmp_path / "twins.xml", True)
    (case,) = cases(tmp_path).values()
    error = case.find("error")
    assert error is not None
    assert error.get("message") == "failed: it broke"


def test_two_cards_of_one_model_prove_nothing() -> None:
    images, subjects = identity_faces(60, 2, seed=1)
    context = planted_context(images, subjects)
    context.other = context.embedder
    with pytest.raises(InsufficientData, match="both sides are the same model"):
        ANALYSIS.run(context, Params())
