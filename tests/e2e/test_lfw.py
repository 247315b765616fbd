"""Real models reach their known accuracy on LFW through the whole pipeline: read, detect, align, embed, folds."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from fraudit.embedding.loading import load_embedder
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.faces.detect import Locator, open_detector
from fraudit.faces.sources import open_faces, take
from fraudit.stats.folds import fold_accuracy
from fraudit.stats.pairs import pair_cosines
from fraudit.types import FaceSet
from tests.fixtures.cards import MOBILEFACENET


@pytest.fixture
def lfw(shared_data, monkeypatch):
    if not (shared_data / "lfw-deepfunneled-pairs.zip").is_file():
        pytest.skip(f"no lfw-deepfunneled-pairs.zip in {shared_data}")
    monkeypatch.setenv("FRAUDIT_DATA", str(shared_data))
    return open_faces("lfw")


@pytest.fixture
def locator(shared_weights):
    model = shared_weights / "yunet_n_dynamic.onnx"
    if not model.is_file():
        pytest.skip(f"no YuNet model here: {model}")
    return Locator(open_detector("yunet", model))


def first_folds(faces: FaceSet, folds: int) -> FaceSet:
    """The faces and pairs of the first `folds` folds alone."""
    pairs = faces.pairs
    use = pairs.fold < folds
    kept = np.unique(np.concatenate([pairs.left[use], pairs.right[use]]))
    left, right = (np.searchsorted(kept, side[use]) for side in (pairs.left, pairs.right))
    part = replace(pairs, left=left, right=right, same=pairs.same[use], fold=pairs.fold[use])
    return replace(take(faces, kept), pairs=part)


def accuracy(faces, loaded, locator):
    found = EmbedderRuntime(loaded).embed_faces(faces, locate=locator)
    assert found.ok.all()
    scores = pair_cosines(found.unit(), faces.pairs.left, faces.pairs.right, found.ok)
    return fold_accuracy(scores, faces.pairs.same, faces.pairs.fold)


@pytest.mark.slow
def test_mobilefacenet_reaches_992_in_1000_on_all_pairs(lfw, locator, shared_weights, tmp_path):
    for name in ("MobileFaceNet.onnx", "MobileFaceNet.onnx.data"):
        if not (shared_weights / name).is_file():
            pytest.skip(f"no {name} in {shared_weights}")
        shutil.copy(shared_weights / name, tmp_path)
    (tmp_path / "card.toml").write_text(MOBILEFACENET)
    folds = accuracy(lfw, load_embedder(str(tmp_path / "card.toml")), locator)
    assert list(folds.counts) == [600] * 10
    assert folds.missing == 0
    assert folds.mean >= 0.992


@pytest.mark.slow
def test_dlib_reaches_98_in_100_on_two_folds(lfw, locator):
    from fraudit.embedding.bundled import dlib_unavailable

    if dlib_unavailable():
        pytest.skip(dlib_unavailable())
    folds = accuracy(first_folds(lfw, 2), load_embedder("dlib"), locator)
    assert len(folds.correct) == 1200
    assert folds.mean >= 0.98
