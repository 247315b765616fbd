"""`fraudit rivals --scorer`: the scores-only attack on a box that only compares, over planted faces."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from fraudit.audit.plan import AuditPlan
from fraudit.audit.scores_attack import attack_scorer, questions_of
from fraudit.cli.main import run
from fraudit.errors import InsufficientData, UsageError
from fraudit.faces.readers import LANDMARK_COLUMNS
from fraudit.inverters.geometry import landmarks_of
from fraudit.inverters.rivals.generators import eigenface_generator

PEOPLE = 64
MODULE = '''
"""A scorer and a local model for tests."""
import hashlib
import numpy as np
from tests.fixtures.boxes import luma_pattern

asked = 0
MIX = np.linalg.qr(np.random.default_rng(5).normal(0, 1, (64, 64)))[0].astype(np.float32)  # alike to its eyes


def compare(lefts, rights):
    global asked
    asked += len(lefts)
    a, b = luma_pattern(lefts), luma_pattern(rights)
    return 40 + 60 * (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def chance(lefts, rights):
    pairs = [sorted(hashlib.sha256(p.tobytes()).digest() for p in pair) for pair in zip(lefts, rights)]
    return [int.from_bytes(hashlib.sha256(b"".join(p)).digest()[:4], "big") / 2**32 for p in pairs]


def local(images):
    return luma_pattern(images) @ MIX


compare.input = chance.input = "aligned"
compare.name, chance.name = "luma", "chance"
local.dim = 64
'''


@pytest.fixture
def faces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A set of drawn faces of planted people; the boxes' module; its folder is the working one and holds the cache."""
    (tmp_path / "scores_box.py").write_text(MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FRAUDIT_CACHE", str(tmp_path / "cache"))
    generator = eigenface_generator()
    latents = np.random.default_rng(1).standard_normal((PEOPLE, generator.size)).astype(np.float32)
    folder = tmp_path / "faces"
    folder.mkdir()
    points = ",".join(f"{v:.3f}" for v in landmarks_of(128).ravel())
    lines = ["path,subject," + ",".join(LANDMARK_COLUMNS)]
    for i, picture in enumerate(generator.pictures(latents)):
        Image.fromarray(cv2.resize(picture, (128, 128))).save(folder / f"{i:02d}.png")
        lines.append(f"{i:02d}.png,{i},{points}")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    sys.modules.pop("scores_box", None)
    yield importlib.import_module("scores_box"), str(folder / "manifest.csv")
    sys.modules.pop("scores_box", None)


def test_a_box_that_only_compares_gives_its_people_away_and_one_that_answers_chance_does_not(
    faces, tmp_path: Path
) -> None:
    box, path = faces
    plan = AuditPlan("luma", path, pictures="none")

    def attack(scorer: str):
        return attack_scorer(plan, f"python:scores_box:{scorer}", "python:scores_box:local", tmp_path / "run",
                             people=20, queries=60, pool=260)  # fmt: skip

    found = attack("compare")
    rates = {row.name: row.success["luma"].value for row in found.rows}
    assert list(rates)[:4] == ["10 query faces", "25 query faces", "50 query faces", "60 query faces"]
    assert rates["60 query faces"] > 0.8
    assert rates["60 query faces"] >= rates["10 query faces"]
    assert found.chance.value < 0.3
    assert found.rows[0].success["luma"].n == 20
    assert box.asked == found.questions <= questions_of(20, 60)
    asked = box.asked
    again = attack("compare")
    assert (box.asked, again.questions) == (asked, 0)
    assert again.rows == found.rows
    blind = attack("chance")
    assert max(row.success["chance"].value for row in blind.rows) < 0.25


def test_too_few_people_and_wrong_sizes_are_refused(faces, tmp_path: Path) -> None:
    _, path = faces
    plan = AuditPlan("luma", path, pictures="none")
    with pytest.raises(UsageError, match="a victim is asked 2 to 99 scores"):
        attack_scorer(plan, "python:scores_box:compare", "python:scores_box:local", tmp_path, queries=100)
    with pytest.raises(InsufficientData, match="drawn faces that the local model sees"):
        attack_scorer(plan, "python:scores_box:compare", "python:scores_box:local", tmp_path, pool=50)


def test_the_command_prints_its_table_and_keeps_it(faces, capsys: pytest.CaptureFixture[str]) -> None:
    _, path = faces
    words = ["rivals", "--scorer", "python:scores_box:compare", "--dataset", path, "--local",
             "python:scores_box:local", "--people", "6", "--max-queries", "30"]  # fmt: skip
    assert run([*words, "--dry-run"]) == 0
    assert "at most 522 scores" in capsys.readouterr().out
    assert run([*words, "--pool", "200", "--out", "out"]) == 0
    told = capsys.readouterr().out
    assert "30 query faces" in told
    assert "accepted as another victim" in told
    kept = json.loads(Path("out/scores_attack.json").read_text())
    assert kept["people"] == 6


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "scores alone need a model of the attacker's own"),
        (["--local", "dlib", "--methods", "gaussian"], "every other method needs its vectors"),
        (["--local", "dlib", "--embedder", "dlib"], "--embedder does not go with --scorer"),
        (["--local", "dlib", "--samples", "3"], "does not take 'samples'"),
    ],
)
def test_what_a_scorer_cannot_do_is_refused_in_one_line(
    words: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["rivals", "--scorer", "python:nowhere:compare", *words]) != 0
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error


def test_a_run_without_a_box_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["rivals"]) != 0
    assert "missing --embedder" in capsys.readouterr().err
    assert run(["rivals", "--embedder", "dlib", "--dry-run"]) != 0
    assert "--dry-run goes with --scorer" in capsys.readouterr().err
