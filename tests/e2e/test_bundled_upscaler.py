"""The upscaler that is shipped: larger pictures of the same persons, at a glance and by command."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from fraudit.api import open_inverter
from fraudit.cli.main import run
from fraudit.diffusion.training.upscaler_evaluate import error_levels, made_large, made_small
from fraudit.embedding.bundled import dlib_unavailable
from fraudit.faces.sources import open_faces, take
from fraudit.inverters.inverting import cosine, reembed
from fraudit.inverters.upscaling import bundled, find_upscaler

FACES = 6


@pytest.fixture(autouse=True)
def _installed() -> None:
    if dlib_unavailable():
        pytest.skip(dlib_unavailable())


def test_it_is_small_and_names_its_training() -> None:
    folder = bundled(64)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 4e6
    card = find_upscaler("auto", 64).card
    assert {entry["name"] for entry in card["data"]} == {"celeba", "utkface"}
    assert card["licence"]
    assert card["steps"] >= 1000


def test_it_enlarges_what_it_is_given_and_keeps_the_person() -> None:
    inverter, box = open_inverter("dlib")
    faces = open_faces("sample")
    _, firsts = np.unique(faces.subjects, return_index=True)
    vectors = box.embed_faces(take(faces, np.sort(firsts)[:FACES])).vectors
    small, seeds = inverter.invert(vectors, np.arange(FACES)), np.arange(FACES)
    large = find_upscaler("auto", 64).enlarge(small, seeds)
    assert large.shape == (FACES, 128, 128, 3)
    assert error_levels(made_small(large, 64), small).mean() < 4
    assert (error_levels(large, made_large(small, 128)) > 0.5).all()  # it is not plain enlargement
    own = [cosine(reembed(box, pictures).vectors, vectors).mean() for pictures in (small, large)]
    assert own[1] > own[0] - 0.01


def test_every_command_that_makes_pictures_can_enlarge_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    faces = open_faces("sample")
    for i in (0, 40):
        (tmp_path / f"{i}.webp").write_bytes(faces.read_bytes(i))
    one, two = str(tmp_path / "0.webp"), str(tmp_path / "40.webp")
    quick = ["--embedder", "dlib", "--steps", "2", "--upscale", "auto"]
    commands = {
        "000-seed0.png": ["invert", "--image", one, "--samples", "1"],
        "slerp-01.png": ["interpolate", "--image", one, "--image", two, "--frames", "3", "--sampler", "ddim"],
        "000-00.png": ["traverse", "--image", one, "--axis", "1", "--amounts", "0.2"],
    }
    for name, command in commands.items():
        out = tmp_path / command[0]
        assert run([*command, *quick, "--out", str(out)]) == 0
        assert cv2.imread(str(out / name)).shape == (128, 128, 3)
    capsys.readouterr()
    wanted = ["invert", "--embedder", "dlib", "--image", one, "--out", str(tmp_path / "bad")]
    assert run([*wanted, "--upscale", str(tmp_path / "nothing.pt")]) != 0
    assert "no such file or folder" in capsys.readouterr().err
    assert run([*wanted, "--upscale", str(bundled(64).parent)]) != 0
    assert "no trained upscaler" in capsys.readouterr().err
    assert run([*wanted, "--inverter", str(bundled(64))]) != 0
    assert "holds an upscaler" in capsys.readouterr().err
