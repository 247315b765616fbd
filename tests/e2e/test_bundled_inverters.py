"""The inverters shipped for dlib keep identities, on the synthetic sample and on strangers of LFW."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from fraudit.api import open_inverter
from fraudit.cli.main import run
from fraudit.diffusion.data.shards import is_held_out
from fraudit.embedding.bundled import dlib_unavailable
from fraudit.embedding.loading import load_embedder
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.faces.detect import Locator, open_detector
from fraudit.faces.sources import open_faces, take
from fraudit.inverters.inverting import cosine, reembed
from fraudit.inverters.loading import bundled
from tests.fixtures.cards import MOBILEFACENET

PEOPLE = 32


@pytest.fixture(autouse=True)
def _installed() -> None:
    if dlib_unavailable():
        pytest.skip(dlib_unavailable())


def test_auto_takes_the_network_and_the_closed_form_is_there_by_name() -> None:
    assert open_inverter("dlib")[0].name == "id3pm"
    assert open_inverter("dlib", "id3pm")[0].name == "id3pm"
    assert open_inverter("dlib", "linear")[0].name == "linear"


def test_what_is_shipped_is_small_and_names_its_training() -> None:
    box = load_embedder("dlib")
    folder = bundled(box)
    assert folder is not None
    files = list(folder.glob("model-*.safetensors"))
    assert sum(path.stat().st_size for path in files) <= 40e6
    assert max(path.stat().st_size for path in files) < 16e6
    card = open_inverter("dlib")[0].card
    assert {entry["name"] for entry in card["data"]} == {"celeba", "utkface"}
    assert card["steps"] > 1000
    assert card["licence"]


@pytest.mark.parametrize("kind", ["id3pm", "linear"])
def test_reconstructions_of_the_sample_are_of_their_own_vector(kind: str) -> None:
    inverter, box = open_inverter("dlib", kind)
    faces = open_faces("sample")
    _, firsts = np.unique(faces.subjects, return_index=True)
    vectors = box.embed_faces(take(faces, np.sort(firsts)[:8])).vectors
    made = reembed(box, inverter.invert(vectors, np.arange(8)))
    assert made.ok.all()
    assert cosine(made.vectors, vectors).mean() > cosine(made.vectors, np.roll(vectors, 1, 0)).mean() + 0.05


def test_the_network_serves_another_model_after_translation(
    shared_weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (shared_weights / "MobileFaceNet.onnx").is_file():
        pytest.skip(f"no MobileFaceNet.onnx in {shared_weights}")
    for part in shared_weights.glob("MobileFaceNet.onnx*"):
        shutil.copy(part, tmp_path)
    card, out = tmp_path / "card.toml", tmp_path / "adapted"
    card.write_text(MOBILEFACENET)
    wanted = ["adapt", "--embedder", str(card), "--dataset", "sample", "--out", str(out), "--quiet"]
    assert run([*wanted, "--probe", "4"]) == 0
    told = capsys.readouterr().out
    assert "translated from" in told
    assert "synthetic here too" in told
    assert run(wanted) != 0
    assert "holds an inverter already" in capsys.readouterr().err
    inverter, box = open_inverter(str(card), str(out / "inverter"))
    faces = open_faces("sample")
    _, firsts = np.unique(faces.subjects, return_index=True)
    # Not the synthetic people that were translated by.
    apart = [i for i in np.sort(firsts) if is_held_out("sample", str(faces.subjects[i]))]
    vectors = box.embed_faces(take(faces, apart)).vectors
    made = reembed(box, inverter.invert(vectors, np.arange(len(apart))))
    assert len(apart) >= 4
    assert cosine(made.vectors, vectors).mean() > cosine(made.vectors, np.roll(vectors, 1, 0)).mean() + 0.2


def test_the_network_beats_the_closed_form_in_the_eyes_of_another_model(
    shared_data: Path, shared_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (shared_data / "lfw-deepfunneled-pairs.zip").is_file():
        pytest.skip(f"no lfw-deepfunneled-pairs.zip in {shared_data}")
    for name in ("MobileFaceNet.onnx", "yunet_n_dynamic.onnx"):
        if not (shared_weights / name).is_file():
            pytest.skip(f"no {name} in {shared_weights}")
    monkeypatch.setenv("FRAUDIT_DATA", str(shared_data))
    monkeypatch.setenv("FRAUDIT_WEIGHTS", str(shared_weights))
    for part in shared_weights.glob("MobileFaceNet.onnx*"):
        shutil.copy(part, tmp_path)
    (tmp_path / "judge.toml").write_text(MOBILEFACENET)
    judge = EmbedderRuntime(load_embedder(str(tmp_path / "judge.toml")))
    faces = open_faces("lfw")
    _, firsts = np.unique(faces.subjects, return_index=True)
    chosen = take(faces, np.sort(np.random.default_rng(0).permutation(firsts)[:PEOPLE]))
    locator = Locator(open_detector("yunet", shared_weights / "yunet_n_dynamic.onnx"))
    seen = judge.embed_faces(chosen, locate=locator)
    kept = {}
    for kind in ("id3pm", "linear"):
        inverter, box = open_inverter("dlib", kind)
        vectors = box.embed_faces(chosen, locate=locator)
        ok = vectors.ok & seen.ok
        assert ok.sum() > 0.9 * PEOPLE
        made = reembed(judge, inverter.invert(vectors.vectors[ok], np.arange(ok.sum())))
        kept[kind] = cosine(made.vectors, seen.vectors[ok])
        assert kept[kind].mean() > cosine(made.vectors, np.roll(seen.vectors[ok], 1, 0)).mean() + 0.2
    gain = kept["id3pm"] - kept["linear"]
    assert gain.mean() > 1.96 * gain.std(ddof=1) / len(gain) ** 0.5
