"""The script for a GPU that is at hand for a quarter of an hour, rehearsed on the CPU from packing to the inverter."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import gpu_training
from fraudit.diffusion.data.shards import build_shards, load_shards
from fraudit.inverters.geometry import TEMPLATE_NAME, landmarks_of
from fraudit.inverters.id3pm import load
from tests.fixtures.training import black_box, drawn_faces


def call(monkeypatch: pytest.MonkeyPatch, *words: object) -> None:
    monkeypatch.setattr(sys, "argv", ["gpu_training.py", *map(str, words)])
    gpu_training.main()


def test_it_packs_trains_goes_on_and_leaves_an_inverter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faces, box = drawn_faces(people=30), black_box()
    build_shards(tmp_path / "shards", [faces], box, landmarks_of(64), 64, TEMPLATE_NAME)
    call(monkeypatch, "pack", "--shards", tmp_path / "shards", "--out", tmp_path / "pack")
    whole = load_shards(tmp_path / "shards")
    train, watched = gpu_training.load_pack(tmp_path / "pack")
    assert len(train) == (~whole.held_out).sum()
    assert not set(train.subjects) & set(whole.subjects[whole.held_out])
    assert 0 < len(watched) < whole.held_out.sum()
    kept = np.isin(whole.subjects, train.subjects)
    assert np.array_equal(train.pictures, whole.pictures[kept & ~whole.held_out])
    assert np.abs(train.attributes - whole.attributes[kept & ~whole.held_out]).max() <= 0.002

    def once(out: Path, *more: object) -> None:
        call(
            monkeypatch, "train", "--pack", tmp_path / "pack", "--work", tmp_path / "work", "--out", out,
            "--preset", "mini-64", "--batch", 2, "--student-steps", 1, "--warmup", 1, "--measured", 1,
            "--log-every", 1, "--watch-every", 2, "--watched", 2, "--seconds", 120, "--device", "cpu", *more,
        )  # fmt: skip

    once(tmp_path / "first", "--steps", 4, "--keep-state")
    once(tmp_path / "second", "--steps", 6)
    rows = [json.loads(line) for line in (tmp_path / "second" / "loss.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    inverter = load(tmp_path / "second" / "last")
    assert inverter.card["steps"] == 6
    assert inverter.card["attributes"] == "set3"
    assert inverter.card["attributes_labelled"]["emotion.happiness"] == len(train)
    made = inverter.invert(whole.vectors[:1], np.array([0]), steps=1)
    assert made.shape == (1, 64, 64, 3)
