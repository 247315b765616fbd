"""An official architecture with random weights: no wiring is blamed, and the doctor says what is the matter."""

from __future__ import annotations

from pathlib import Path

import pytest

from fraudit.cli.main import run

DLIB = """import numpy as np
import torch
from fraudit.embedders.dlib import SPEC
from fraudit.embedders.dlib_network import DlibNetwork

torch.manual_seed(0)
NETWORK = DlibNetwork().eval()


def embed(faces):
    with torch.inference_mode():
        return NETWORK(torch.from_numpy(SPEC.preprocess.to_nchw(faces))).numpy()


embed.size, embed.template, embed.dim = (150, 150), "dlib-150", 128
"""


def test_dlibs_network_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FRAUDIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "dlib_drawn.py").write_text(DLIB)
    assert (
        run(["doctor", "--embedder", "python:dlib_drawn:embed", "--quiet", "--faces", "64", "--limit", "240"])
        == 1
    )
    told = capsys.readouterr().out
    assert "[high] This model does not tell people apart, in none of " in told
    assert "How it is wired can therefore not be judged" in told
    assert "wired otherwise" not in told
