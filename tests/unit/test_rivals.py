"""Attacks on a known black box: more questions bring more, a killed attack asks nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import DataError, UsageError
from fraudit.files.store import Store
from fraudit.inverters.rivals import gaussian, latent
from fraudit.inverters.rivals.attack import SIDE, Setting, Track, likeness
from fraudit.inverters.rivals.generators import eigenface_generator, kin_of
from fraudit.stats.ssim import ms_ssim
from tests.fixtures.boxes import box_of, luma_pattern


def wanted(count: int, seed: int = 0) -> np.ndarray:
    """f32[count,64] vectors of faces that the statistical model can draw."""
    generator = eigenface_generator()
    latents = np.random.default_rng(seed).standard_normal((count, generator.size)).astype(np.float32)
    from fraudit.inverters.inverting import reembed

    return reembed(box_of(luma_pattern, 64), generator.pictures(latents)).vectors


def test_gaussian_sampling_gets_nearer_with_questions_and_counts_them() -> None:
    vectors = wanted(3)
    found = gaussian.attack(Setting(box_of(luma_pattern, 64), questions=320), vectors, np.arange(3))
    assert found.pictures.shape == (3, SIDE, SIDE, 3)
    assert found.questions == 320
    assert found.asked.tolist() == sorted(found.asked.tolist())
    assert found.similarity[-1].mean() > found.similarity[0].mean() + 0.1  # what rises is cosine times norm
    assert np.array_equal(found.pictures, found.kept[-1])
    assert np.array_equal(found.pictures, found.pictures[:, :, ::-1])  # symmetric blobs


@pytest.mark.parametrize("attack", [gaussian.attack, latent.GREEDY.attack])
def test_an_attack_depends_on_its_seed_alone_and_never_asks_more_than_allowed(attack) -> None:  # type: ignore[no-untyped-def]
    vectors = wanted(2)
    boxes = [box_of(luma_pattern, 64) for _ in range(2)]
    both = attack(Setting(boxes[0], questions=50, pool=20), vectors, np.array([3, 4]))
    one = attack(Setting(boxes[1], questions=50, pool=20), vectors[1:], np.array([4]))
    assert np.array_equal(both.pictures[1], one.pictures[0])
    assert both.questions <= 50
    assert boxes[0].queries <= 2 * 50 + 20


def test_latent_search_starts_from_the_nearest_of_a_shared_pool_and_improves_on_it(tmp_path: Path) -> None:
    vectors, store = wanted(4), Store(tmp_path)
    box = box_of(luma_pattern, 64)
    setting = Setting(box, questions=160, pool=200, store=store)
    found = latent.GREEDY.attack(setting, vectors, np.zeros(4, np.int64))
    assert found.shared == 200
    assert (found.similarity[-1] > found.similarity[0]).all()
    again = latent.ANNEALING.attack(setting, vectors, np.zeros(4, np.int64))
    assert not np.array_equal(found.pictures, again.pictures)
    assert (again.similarity[-1] >= again.similarity[0]).all()


def test_several_pictures_of_one_vector_start_from_different_faces() -> None:
    vectors = np.repeat(wanted(1), 2, axis=0)
    setting = Setting(box_of(luma_pattern, 64), questions=16, pool=50)
    found = latent.GREEDY.attack(setting, vectors, np.array([0, 1]))
    assert not np.array_equal(found.kept[0, 0], found.kept[0, 1])


RUN = """
import sys, time
import numpy as np
from pathlib import Path
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.files.store import Store
from fraudit.inverters.rivals import gaussian
from fraudit.inverters.rivals.attack import Setting
from tests.fixtures.boxes import box_of, luma_pattern

folder, slow = Path(sys.argv[1]), float(sys.argv[2])

def logged(images):
    time.sleep(slow)
    with open(folder / "asked", "a") as log:
        log.write(f"{len(images)}\\n")
    return luma_pattern(images)

loaded = box_of(logged, 64).loaded
box = EmbedderRuntime(loaded, Store(folder / "store"))
made = gaussian.attack(Setting(box, questions=480), np.load(folder / "vectors.npy"), np.arange(2))
np.save(folder / "made.npy", made.pictures)
"""


def asked(folder: Path) -> int:
    log = folder / "asked"
    return sum(map(int, log.read_text().split())) if log.exists() else 0


def test_an_attack_that_was_killed_asks_nothing_twice(tmp_path: Path) -> None:
    if not box_of(luma_pattern, 64).loaded.cacheable:
        pytest.skip("the planted box remembers nothing")
    np.save(tmp_path / "vectors.npy", wanted(2))
    command = [sys.executable, "-c", RUN, str(tmp_path)]
    first = subprocess.Popen([*command, "0.05"], env=dict(os.environ))
    for _ in range(400):
        if asked(tmp_path) >= 200:
            break
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    before = asked(tmp_path)
    assert 200 <= before < 960
    subprocess.run([*command, "0"], check=True, env=dict(os.environ))
    # What was under way when it was killed, one batch at most, is asked again.
    assert asked(tmp_path) <= 960 + 32
    whole = gaussian.attack(
        Setting(box_of(luma_pattern, 64), questions=480), np.load(tmp_path / "vectors.npy"), np.arange(2)
    )
    assert np.array_equal(np.load(tmp_path / "made.npy"), whole.pictures)


def test_a_picture_without_a_vector_is_never_near() -> None:
    from fraudit.types import Embeddings

    answer = Embeddings(np.zeros((2, 4), np.float32), np.array([False, False]), ("no face", "no face"), "")
    assert likeness(answer, np.ones((1, 4), np.float32)).tolist() == [-1, -1]


def test_moments_are_kept_once_and_the_last_always() -> None:
    track = Track(100)
    picture = np.zeros((1, 8, 8, 3), np.uint8)
    for count in (10, 60, 90):
        track.at(count, picture, np.array([0.1]), last=count == 90)
    assert track.attempt().asked.tolist() == [10, 60, 90]


def test_kin_are_the_models_of_all_that_an_inverter_grew_out_of() -> None:
    card = {"embedder_fingerprint": "a", "adapted_from": {"embedder_fingerprint": "b", "init": {}}}
    assert kin_of(card) == {"a", "b"}


def test_sizes_below_one_are_refused() -> None:
    with pytest.raises(UsageError, match="questions: expected at least 1"):
        Setting(box_of(luma_pattern, 64), questions=0)


def test_ms_ssim_is_one_for_the_same_picture_and_that_of_torchmetrics() -> None:
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 255, (9, 9, 1)).repeat(8, 0).repeat(8, 1).repeat(3, 2)[:64, :64].astype(np.uint8)
    noisy = np.clip(smooth + rng.normal(0, 20, smooth.shape), 0, 255).astype(np.uint8)
    assert ms_ssim(smooth, smooth) == pytest.approx(1)
    assert ms_ssim(smooth, noisy) < 0.99
    with pytest.raises(DataError, match="at least 11 px"):
        ms_ssim(smooth[:8, :8], noisy[:8, :8])
    torchmetrics = pytest.importorskip(
        "torchmetrics.functional.image", reason="torchmetrics is not installed"
    )
    import torch

    from fraudit.stats.ssim import WEIGHTS, _grey

    total = sum(WEIGHTS[:3])
    theirs = torchmetrics.multiscale_structural_similarity_index_measure(
        *(torch.from_numpy(_grey(x))[None, None] for x in (smooth, noisy)),
        data_range=255.0,
        betas=tuple(w / total for w in WEIGHTS[:3]),
        normalize=None,
    )
    assert ms_ssim(smooth, noisy) == pytest.approx(float(theirs), abs=0.01)


def test_a_remembering_box_is_asked_once(tmp_path: Path) -> None:
    loaded = box_of(luma_pattern, 64).loaded
    vectors = wanted(1)
    runs = []
    for _ in range(2):
        box = EmbedderRuntime(loaded, Store(tmp_path))
        runs.append((gaussian.attack(Setting(box, questions=64), vectors, np.arange(1)), box.queries))
    assert np.array_equal(runs[0][0].pictures, runs[1][0].pictures)
    assert runs[0][0].questions == runs[1][0].questions == 64  # counted whether or not they were remembered
    assert runs[1][1] == 0


def test_the_slope_is_found_from_differences_alone() -> None:
    from fraudit.inverters.rivals.guided import slope

    rng = np.random.default_rng(0)
    up = rng.normal(size=(1, 8))
    directions = rng.normal(size=(1, 400, 8)).astype(np.float32)
    found = slope((directions @ up[0]), directions)
    assert float(found[0] @ up[0] / np.linalg.norm(up)) > 0.95


def test_guided_diffusion_asks_no_more_than_allowed_and_keeps_the_nearest() -> None:
    from fraudit.inverters.rivals import guided

    box = box_of(luma_pattern, 64)
    found = guided.attack(Setting(box, questions=15), wanted(2), np.arange(2))
    assert found.questions <= 15
    assert (np.diff(found.similarity, axis=0) >= 0).all()
    assert found.pictures.shape == (2, SIDE, SIDE, 3)


def test_query_faces_are_nearly_orthogonal_about_their_mean() -> None:
    from fraudit.inverters.rivals.scores_only import spread_queries

    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(500, 32)) + 3).astype(np.float32)
    chosen = spread_queries(vectors, 12)
    assert len(set(chosen.tolist())) == 12
    centred = vectors - vectors.mean(0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)

    def largest(rows: np.ndarray) -> float:
        return float(np.abs(unit[rows] @ unit[rows].T - np.eye(12)).max())

    assert largest(chosen) < min(largest(rng.choice(500, 12, replace=False)) for _ in range(20))


def test_scores_tell_a_local_vector_and_coarser_or_fewer_scores_tell_less() -> None:
    """The victim's space is a rotation of the local one: enough fine scores give the vector back."""
    from fraudit.inverters.rivals.scores_only import rounded, solve_local, spread_queries

    rng = np.random.default_rng(0)
    own = rng.normal(size=(1500, 24)).astype(np.float32)
    own /= np.linalg.norm(own, axis=1, keepdims=True)
    queries = spread_queries(own, 60)
    target = rng.normal(size=(40, 24))
    target /= np.linalg.norm(target, axis=1, keepdims=True)
    scores = target @ own[queries].T  # a rotation changes no cosine

    def agreement(step: float, count: int) -> float:
        found = solve_local(rounded(scores, step)[:, :count], own, queries[:count])
        return float((found * target).sum(1).mean())

    assert agreement(0, 60) > 0.95
    assert agreement(0, 8) < 0.75
    assert agreement(0.5, 60) < agreement(0, 60) - 0.1
    assert rounded(np.array([0.123]), 0.02)[0] == pytest.approx(0.12)


def test_scores_alone_needs_a_model_of_the_attackers_own() -> None:
    from fraudit.errors import InsufficientData
    from fraudit.inverters.rivals import scores_only

    box, local = box_of(luma_pattern, 64), box_of(lambda x: luma_pattern(x)[:, ::-1].copy(), 64, "local")
    setting = Setting(box, questions=20, pool=200, local=local)
    found = scores_only.attack(setting, wanted(2), np.arange(2))
    assert found.questions == 20
    assert found.varied is not None
    assert found.varied.shape == (3, 2, SIDE, SIDE, 3)
    assert local.fingerprint in found.kin
    assert "closed form of local" in found.note
    with pytest.raises(InsufficientData, match="expected at least 120 drawn faces"):
        scores_only.attack(Setting(box, questions=20, pool=100, local=local), wanted(2), np.arange(2))


def test_methods_on_the_bundled_inverter_say_why_they_cannot_run() -> None:
    from fraudit.embedding.loading import load_embedder
    from fraudit.errors import InsufficientData
    from fraudit.inverters.rivals import scores_only, translated

    with pytest.raises(InsufficientData, match="no ID3PM inverter is bundled for planted"):
        translated.closed_form(Setting(box_of(luma_pattern, 64)), wanted(1), np.arange(1))
    pytest.importorskip("_dlib_pybind11", reason="dlib is not installed")
    dlib = EmbedderRuntime(load_embedder("dlib"))
    with pytest.raises(InsufficientData, match="trained for this very model"):
        translated.transcoding(Setting(dlib), np.ones((1, 128), np.float32), np.arange(1))
    with pytest.raises(InsufficientData, match="need a local model"):
        scores_only.attack(Setting(dlib), np.ones((1, 128), np.float32), np.arange(1))
    made = translated.closed_form(Setting(dlib), np.ones((2, 128), np.float32), np.arange(2))
    assert made.questions == 0
    assert np.array_equal(made.pictures[0], made.pictures[1])


def test_a_kind_that_is_bundled_for_another_box_alone_is_refused() -> None:
    from fraudit.inverters.loading import find_inverter

    with pytest.raises(UsageError, match="--inverter dibigan: none is bundled"):
        find_inverter("dibigan", box_of(luma_pattern, 64).loaded)
