"""The conditional network learns identities, by the black box's own word; and one command does it all."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import typer

from fraudit.cli import invert as inverting
from fraudit.cli import train as topic
from fraudit.diffusion.data.shards import build_shards, load_shards
from fraudit.diffusion.training.distributed import DistributedProcesses
from fraudit.diffusion.training.evaluate import Probe
from fraudit.diffusion.training.loop import Trainer
from fraudit.diffusion.training.options import TrainOptions
from fraudit.diffusion.training.presets import preset_named
from fraudit.embedding.loading import load_embedder
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import ArtifactError, FrauditError, UsageError
from fraudit.faces.sources import open_faces, take
from fraudit.inverters.geometry import TEMPLATE_NAME, landmarks_of
from fraudit.inverters.id3pm import load


@pytest.fixture(scope="module")
def dlib() -> EmbedderRuntime:
    # Found, not imported: its import needs the retired pkg_resources.
    if importlib.util.find_spec("face_recognition_models") is None:
        pytest.skip("dlib's weights (package face_recognition_models) are not installed")
    return EmbedderRuntime(load_embedder("dlib", device="cpu"))


def _keeps_identity(score: dict) -> bool:
    """Similarity to the own vector is clearly over that of a shuffled pairing: intervals do not touch."""
    return score["embedder"]["own"]["low"] > score["embedder"]["other"]["high"]


@pytest.mark.slow
def test_overfitting_brings_identities_back_and_ignoring_the_condition_does_not(
    tmp_path: Path, dlib: EmbedderRuntime
) -> None:
    faces = open_faces("sample")
    points = landmarks_of(32)
    one_of_each = take(faces, np.unique(faces.subjects, return_index=True)[1][:26])
    build_shards(tmp_path / "shards", [one_of_each], dlib, points, 32, TEMPLATE_NAME)
    data = load_shards(tmp_path / "shards")
    preset = preset_named("tiny-32")
    options = TrainOptions(steps=300, batch=16, log_every=100, checkpoint_every=1000, report_every=1000)
    trainer = Trainer(tmp_path, data, preset, options, DistributedProcesses("cpu"), {})
    probe = Probe.of_people(
        data,
        False,
        24,
        points=points,
        runtime=dlib,
        judge=None,
        unit_scaled=preset.unit_scaled,
        schedule=preset.schedule,
    )
    untrained = probe.score(probe.pictures(trainer.averaged()))
    assert not _keeps_identity(untrained)
    trainer.run()
    network = trainer.averaged()
    learned = probe.score(probe.pictures(network))
    assert _keeps_identity(learned)
    assert learned["embedder"]["own"]["mean"] > untrained["embedder"]["own"]["mean"]
    with torch.no_grad():
        network.identity_emb.weight.zero_()
    assert not _keeps_identity(probe.score(probe.pictures(network)))


def _run(*arguments: str) -> None:
    app = typer.Typer()
    topic.register(app)
    inverting.register(app)
    app(list(arguments), standalone_mode=False)


def test_one_command_trains_exports_and_the_result_answers(
    tmp_path: Path, dlib: EmbedderRuntime, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    command = [
        "train",
        "--embedder",
        "dlib",
        "--dataset",
        "sample",
        "--max-faces",
        "60",
        "--preset",
        "tiny-32",
        "--steps",
        "3",
        "--batch",
        "4",
        "--probe",
        "3",
        "--attributes",
        "set1",
        "--judge",
        "dlib",
        "--export",
        "int8",
        "--out",
        str(out),
        "--device",
        "cpu",
        "--quiet",
        "--json",
    ]
    _run(*command)
    result = json.loads(capsys.readouterr().out)
    assert result["done"]
    assert result["step"] == 3
    inverter = load(result["export"], device="cpu")
    assert inverter.embedder_fingerprint == dlib.fingerprint
    vectors = dlib.embed_faces(take(open_faces("sample"), [0, 1])).vectors
    made = inverter.invert(vectors, np.array([0, 1]), steps=2, attributes={"pose.yaw": 0.8})
    assert made.shape == (2, 32, 32, 3)
    assert {"curves.png", "samples.png", "training.html", "training.json"} <= {p.name for p in out.iterdir()}
    with pytest.raises(UsageError, match="already"):
        _run(*command)
    capsys.readouterr()
    (tmp_path / "face.webp").write_bytes(open_faces("sample").read_bytes(0))
    walk = [
        "traverse",
        "--embedder",
        "dlib",
        "--inverter",
        result["export"],
        "--image",
        str(tmp_path / "face.webp"),
        "--condition",
        "yaw_deg=-40,0,40",
        "--steps",
        "2",
        "--out",
        str(tmp_path / "walk"),
        "--threshold",
        "none",
        "--guidance",
        "2000",  # three steps of training tell attributes apart by very little
    ]
    _run(*walk)
    rows = (tmp_path / "walk" / "similarities.csv").read_text().splitlines()
    assert [row.split(",")[1] for row in rows] == ["value", "-40.0", "0.0", "40.0"]
    pictures = {(tmp_path / "walk" / row.split(",")[2]).read_bytes() for row in rows[1:]}
    assert len(pictures) == 3
    with pytest.raises(UsageError, match="holds files already"):
        _run(*walk)
    _run(*walk, "--overwrite")
    with pytest.raises(UsageError, match="from -90 to 90"):
        _run(*("yaw_deg=200" if "=" in part else part for part in walk), "--overwrite")
    _run("export-inverter", result["inverter"], "--out", str(tmp_path / "half"), "--dtype", "fp16")
    assert "fp16" in capsys.readouterr().out
    half = load(tmp_path / "half", device="cpu").invert(vectors, np.array([0, 1]), steps=2)
    whole = load(result["inverter"], device="cpu").invert(vectors, np.array([0, 1]), steps=2)
    assert np.abs(half.astype(int) - whole).max() <= 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--preset", "small-46", "--dataset", "sample"], "small-46"),
        (["--dataset", "lfw"], "never trained on"),
        (["--dataset", ""], "nothing to train on"),
        (["--dataset", "sample", "--attributes", "set4"], "set4"),
        (["--dataset", "sample", "--batch", "-1"], "--batch"),
        (["--dataset", "sample", "--export", "fp8"], "fp8"),
        (["--dataset", "sample", "--precision", "bf61"], "bf61"),
    ],
)
def test_wrong_options_are_refused_before_any_work(tmp_path: Path, arguments: list[str], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        _run("train", "--embedder", "dlib", "--out", str(tmp_path / "run"), *arguments)
    assert not (tmp_path / "run").exists()


def test_a_folder_without_an_inverter_cannot_be_exported(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"card\.json is missing"):
        _run("export-inverter", str(tmp_path), "--out", str(tmp_path / "x"))
    with pytest.raises(FrauditError):
        _run("export-inverter", str(tmp_path), "--out", str(tmp_path))
