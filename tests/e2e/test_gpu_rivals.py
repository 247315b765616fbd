"""The script that trains rivals on a GPU that is at hand, rehearsed on the CPU from a pack to an inverter."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import gpu_rivals, gpu_training
from fraudit.diffusion.data.shards import build_shards, load_shards
from fraudit.inverters.geometry import TEMPLATE_NAME, landmarks_of
from fraudit.inverters.learned.inverter import load
from fraudit.inverters.learned.presets import Recipe
from fraudit.inverters.learned.training import Learner
from tests.fixtures.training import black_box, drawn_faces


def call(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["script.py", *map(str, words)])
    (gpu_training if words[0] == "pack" else gpu_rivals).main()


def small(kind: str, preset: str, **changes: object) -> Recipe:
    sizes = {"widths": (8, 8, 8, 8, 8), "layers": 2, "batch": 4, "least": 2, "flow_px": 8, "flow_steps": 2,
             "student_steps": 2}  # fmt: skip
    found = {k: v for k, v in changes.items() if v is not None}
    return Recipe(kind, preset, 64, **{"steps": 14, **sizes, **found})  # type: ignore[arg-type]


def test_it_plans_by_the_time_goes_on_and_leaves_averaged_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_rivals, "recipe_named", small)
    build_shards(
        tmp_path / "shards", [drawn_faces(people=40)], black_box(), landmarks_of(64), 64, TEMPLATE_NAME
    )
    call(monkeypatch, "pack", "--shards", tmp_path / "shards", "--out", tmp_path / "pack")
    words = ("train", "dibigan", "--row", "D", "--pack", tmp_path / "pack", "--work", tmp_path / "work",
             "--device", "cpu")  # fmt: skip
    call(
        monkeypatch,
        *words,
        "--out",
        tmp_path / "a",
        "--seconds",
        2,
        "--reserve",
        1,
        "--exporting",
        3,
        "--keep-every",
        60,
    )
    planned = json.loads((tmp_path / "work" / "recipe.json").read_text())["steps"]
    assert planned >= 16
    first = load(tmp_path / "a")
    assert first.card["steps"] < first.card["steps_planned"] == 5 * planned
    call(monkeypatch, *words, "--out", tmp_path / "b", "--seconds", 600, "--steps", planned)
    second = load(tmp_path / "b")
    assert second.card["steps"] == 5 * planned
    assert "evaluation" not in second.card
    vectors = load_shards(tmp_path / "shards").vectors[:2]
    assert second.invert(vectors, np.arange(2)).shape == (2, 64, 64, 3)


def test_a_step_of_every_stage_is_timed(tmp_path: Path) -> None:
    build_shards(
        tmp_path / "shards", [drawn_faces(people=40)], black_box(), landmarks_of(64), 64, TEMPLATE_NAME
    )
    learner = Learner(
        small("dibigan", "x", row="D", steps=20), load_shards(tmp_path / "shards"), tmp_path / "w"
    )
    assert gpu_rivals.seconds_a_step(learner) > 0
    assert learner.step == 4 * 20 + 19
