"""The closed-form inverter and the paths between ID vectors, against planted truths."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from fraudit.cli.invert import _sources
from fraudit.cli.main import run
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import ArtifactError, DataError, InsufficientData, UsageError
from fraudit.inverters import inverting, linear
from fraudit.inverters.geometry import landmarks_of
from fraudit.inverters.inverting import cosine, invert_refined, invert_vectors, reembed
from fraudit.inverters.loading import find_inverter, load_inverter
from fraudit.inverters.sources import fill_outside, from_npz, training_sets
from fraudit.types import ARCFACE_112, EmbedderSpec, LoadedEmbedder, Preprocess
from tests.fixtures.boxes import box_of

D, SIDE, N = 16, 16, 400


def world(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pictures that are a linear function of 6 hidden factors, vectors that are a rotation of them."""
    rng = np.random.default_rng(seed)
    people = np.repeat(np.arange(N // 4), 4)
    hidden = rng.standard_normal((N // 4, 6))[people] + 0.3 * rng.standard_normal((N, 6))
    half = rng.standard_normal((6, SIDE, SIDE // 2, 3)) * 12
    basis = np.concatenate([half, half[:, :, ::-1]], axis=2)
    images = np.clip(128 + np.tensordot(hidden, basis, 1), 0, 255).astype(np.uint8)
    rotation = np.linalg.qr(rng.standard_normal((D, D)))[0][:6]
    vectors = (hidden @ rotation + 0.05 * rng.standard_normal((N, D))).astype(np.float32)
    return images, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), people


def box(name: str = "made") -> LoadedEmbedder:
    spec = EmbedderSpec(name, D, Preprocess((SIDE, SIDE), ARCFACE_112 * (SIDE / 112)), "", "")
    return LoadedEmbedder(spec, lambda x: np.ones((len(x), D), np.float32), "0" * 64)


ABOUT = {"embedder": "made", "embedder_fingerprint": box().fingerprint, "data": [], "licence": "none"}


@pytest.mark.parametrize("features", ["linear", "rbf"])
def test_reconstructions_resemble_their_own_face_and_not_a_shuffled_one(features: str) -> None:
    images, vectors, people = world()
    trained = linear.train(images, vectors, people, ABOUT, components=20, features=features, rbf_centres=80)
    made = trained.invert(vectors, np.arange(N), guidance=1.0, diversity=0.0).astype(float)
    centred = images - images.mean(0)
    own = np.mean(
        [
            np.corrcoef((m - images.mean(0)).ravel(), c.ravel())[0, 1]
            for m, c in zip(made, centred, strict=True)
        ]
    )
    other = np.roll(centred, 4, axis=0)
    shuffled = np.mean(
        [np.corrcoef((m - images.mean(0)).ravel(), c.ravel())[0, 1] for m, c in zip(made, other, strict=True)]
    )
    assert own > 0.7
    assert abs(shuffled) < 0.2
    assert trained.card["held_out"]["r2"] > 0.4


def test_a_condition_that_says_nothing_gives_no_resemblance() -> None:
    images, vectors, people = world()
    noise = np.random.default_rng(1).standard_normal(vectors.shape).astype(np.float32)
    trained = linear.train(images, noise, people, ABOUT, components=20)
    assert trained.card["held_out"]["r2"] < 0.05


def test_the_picture_of_a_seed_never_depends_on_its_batch() -> None:
    images, vectors, people = world()
    trained = linear.train(images, vectors, people, ABOUT, components=20)
    whole = trained.invert(vectors[:8], np.arange(8))
    alone = trained.invert(vectors[5:6], np.array([5]))
    np.testing.assert_array_equal(whole[5], alone[0])
    assert (trained.invert(vectors[5:6], np.array([6])) != alone).any()


def test_saving_keeps_the_pictures_and_guards_the_file(tmp_path: Path) -> None:
    images, vectors, people = world()
    trained = linear.train(images, vectors, people, ABOUT, components=20)
    linear.save(trained, tmp_path)
    again = load_inverter(tmp_path, box())
    difference = again.invert(vectors[:9], np.arange(9)).astype(int) - trained.invert(
        vectors[:9], np.arange(9)
    )
    assert np.abs(difference).max() <= 3  # int8 eigenfaces
    with pytest.raises(ArtifactError, match="was trained for made"):
        load_inverter(tmp_path, box("other"))
    data = (tmp_path / linear.WEIGHTS).read_bytes()
    (tmp_path / linear.WEIGHTS).write_bytes(data[:-100])
    with pytest.raises(ArtifactError, match="does not match its card"):
        load_inverter(tmp_path, box())


def test_a_folder_without_a_card_or_with_half_a_card_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"card\.json is missing"):
        find_inverter(str(tmp_path), box())
    (tmp_path / "card.json").write_text(json.dumps({"kind": "linear"}))
    with pytest.raises(ArtifactError, match="lacks embedder, embedder_fingerprint"):
        find_inverter(str(tmp_path), box())
    with pytest.raises(UsageError, match="no such folder"):
        find_inverter(str(tmp_path / "nothing"), box())
    for choice, words in {
        "auto": "no trained inverter for made",
        "linear": "no trained linear inverter",
    }.items():
        found, reason = find_inverter(choice, box())
        assert found is None
        assert reason.startswith(words)


def test_wrong_dimension_zero_vector_and_negative_guidance_are_refused() -> None:
    images, vectors, people = world()
    trained = linear.train(images, vectors, people, ABOUT, components=20)
    with pytest.raises(DataError, match=r"expected \[N,16\], found \[2, 5\]"):
        trained.invert(np.ones((2, 5), np.float32), np.arange(2))
    with pytest.raises(DataError, match="ID vector 1 is zero"):
        trained.invert(np.stack([vectors[0], np.zeros(D, np.float32)]), np.arange(2))
    with pytest.raises(UsageError, match="guidance"):
        trained.invert(vectors[:1], np.arange(1), guidance=-1)


def test_slerp_turns_at_a_constant_rate_and_lerp_is_straight() -> None:
    a, b = np.array([2.0, 0, 0], np.float32), np.array([0, 4.0, 0], np.float32)
    path = inverting.interpolate(a, b, 5)
    angles = np.degrees(np.arctan2(path[:, 1], path[:, 0]))
    np.testing.assert_allclose(angles, [0, 22.5, 45, 67.5, 90], atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), [2, 2.5, 3, 3.5, 4], rtol=1e-5)
    np.testing.assert_allclose(inverting.interpolate(a, b, 3, "lerp")[1], [1, 2, 0])
    with pytest.raises(DataError, match="opposite"):
        inverting.interpolate(a, -a, 3)


def test_a_planted_attribute_direction_is_found() -> None:
    rng = np.random.default_rng(0)
    axis = np.eye(8)[3]
    flag = rng.integers(0, 2, 500).astype(float)
    age = rng.uniform(20, 80, 500)
    vectors = rng.standard_normal((500, 8)) * 0.1 + flag[:, None] * axis + age[:, None] / 60 * np.eye(8)[5]
    found, how = inverting.attribute_direction(vectors.astype(np.float32), flag)
    assert found @ axis > 0.95
    assert how.startswith("1 minus 0")
    older, how = inverting.attribute_direction(vectors.astype(np.float32), age)
    assert older @ np.eye(8)[5] > 0.95
    assert "percentile" in how
    with pytest.raises(InsufficientData):
        inverting.attribute_direction(vectors[:6].astype(np.float32), np.array([1, 0, 0, 0, 0, 0]))


def test_travel_keeps_the_norm() -> None:
    moved = inverting.travel(np.array([3.0, 0], np.float32), np.array([0, 1.0], np.float32), [0, 1])
    np.testing.assert_allclose(np.linalg.norm(moved, axis=1), [3, 3], rtol=1e-6)
    np.testing.assert_allclose(moved[1], [3 / np.sqrt(2), 3 / np.sqrt(2)], rtol=1e-5)


def test_pixels_outside_the_picture_take_the_nearest_one_inside() -> None:
    crop = np.zeros((6, 6, 3), np.uint8)
    crop[2:5, 2:5] = np.arange(27, dtype=np.uint8).reshape(3, 3, 3) + 1
    inside = np.zeros((6, 6), np.uint8)
    inside[2:5, 2:5] = 1
    filled = fill_outside(crop, inside)
    np.testing.assert_array_equal(filled[2:5, 2:5], crop[2:5, 2:5])
    np.testing.assert_array_equal(filled[0, 0], crop[2, 2])
    np.testing.assert_array_equal(filled[3, 5], crop[3, 4])


def test_a_file_of_zero_vectors_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "zero.npz", vectors=np.zeros((2, D), np.float32), ids=np.array(["a", "b"]))
    with pytest.raises(DataError, match="none of the 2 rows has a vector"):
        from_npz(tmp_path / "zero.npz", D)


def test_rows_that_are_no_rows_are_refused_rather_than_left_out(tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", vectors=np.ones((2, D), np.float32), ids=np.array(["a", "b"]))
    with pytest.raises(DataError) as beyond:
        from_npz(tmp_path / "two.npz", D, [2])
    assert "0..1" in beyond.value.hint
    for text in ("1,x", "-1"):
        with pytest.raises(UsageError, match="--rows"):
            _sources(EmbedderRuntime(box()), None, tmp_path / "two.npz", text)


class Tinted:
    """Paints a picture in the colour of a vector of three numbers, with a cast that it does not know of."""

    name, embedder_fingerprint, size_px = "tinted", "f", 64

    def __init__(self) -> None:
        self.asked = 0

    def invert(self, id_vectors: np.ndarray, seeds: np.ndarray, **options: float) -> np.ndarray:
        self.asked += len(id_vectors)
        y = id_vectors / np.linalg.norm(id_vectors, axis=1, keepdims=True)
        colours = 128 + 100 * (0.6 * y + np.array([0.3, -0.2, 0.1]))
        painted = np.clip(np.rint(colours), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(painted[:, None, None], (len(y), 64, 64, 3)))


def colour_box(blind_below: float = -np.inf) -> EmbedderRuntime:
    def forward(images: np.ndarray) -> np.ndarray:
        vectors = images[:, 16:48, 16:48].mean((1, 2)) / 128.0 - 1
        vectors[vectors[:, 0] < blind_below] = 0
        return vectors

    return box_of(forward, 3, "colours", Preprocess((64, 64), landmarks_of(64)))


def test_refinement_comes_nearer_by_what_the_box_says_and_is_paid_in_questions() -> None:
    wanted = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32)
    near, asked = [], []
    for rounds in (0, 1, 3):
        box, inverter = colour_box(), Tinted()
        made = invert_refined(inverter, box, wanted, np.arange(12), rounds)
        asked.append((inverter.asked, box.queries))
        near.append(cosine(reembed(box, made).vectors, wanted))
    assert asked == [(12, 0), (24, 24), (48, 48)]
    assert (near[1] >= near[0]).all()
    assert (near[2] >= near[1]).all()
    assert near[0].mean() < 0.92 < 0.94 < near[1].mean() < near[2].mean()
    with pytest.raises(UsageError, match="rounds of refinement"):
        invert_refined(Tinted(), colour_box(), wanted, np.arange(12), -1)


def test_an_evaluation_set_is_never_trained_on_by_name_or_by_path(tmp_path: Path) -> None:
    person = tmp_path / "lfw-copy" / "someone"
    person.mkdir(parents=True)
    cv2.imwrite(str(person / "a.png"), np.zeros((64, 64, 3), np.uint8))
    for name in ("lfw", str(tmp_path / "lfw-copy")):
        with pytest.raises(UsageError, match="never trained on it"):
            training_sets(["sample", name])
    assert [faces.name for faces in training_sets(["sample"])] == ["sample"]


@pytest.mark.parametrize("command", ["invert", "interpolate", "traverse"])
@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--image", "a.jpg", "--seed", "-1"], "--seed"),
        (["--image", "a.jpg", "--steps", "0"], "steps must be"),
        (["--image", "a.jpg", "--steps", "1001"], "steps must be"),
        (["--image", "a.jpg", "--sampler", "euler"], "unknown sampler 'euler'"),
        (["--image", "a.jpg", "--guidance", "-0.5"], "guidance must be"),
        (["--image", "a.jpg", "--temperature", "0"], "temperature must be"),
        ([], "pictures (--image) or vectors"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_loaded(
    command: str, options: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if command == "traverse":
        options = [*options, "--attribute", "male"]
    # An embedder that does not exist would be told of first, were it looked for.
    picture = tmp_path / "a.jpg"
    picture.touch()
    options = [str(picture) if option == "a.jpg" else option for option in options]
    assert run([command, "--embedder", "nobody", *options, "--out", str(tmp_path / "out")]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--image", "--vector"])
def test_a_missing_file_is_told_before_anything_is_loaded(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = str(tmp_path / "gone")
    assert run(["invert", "--embedder", "nobody", option, gone, "--out", str(tmp_path / "out")]) == 5
    assert f"{gone} does not exist" in capsys.readouterr().err


def test_refinement_leaves_a_picture_in_which_the_box_sees_nothing() -> None:
    wanted = np.array([[1, 0, 0], [-1, 0, 0]], np.float32)
    box, seeds = colour_box(blind_below=0.0), np.arange(2)
    plain = Tinted().invert(wanted, seeds)
    assert list(reembed(box, plain).ok) == [True, False]
    refined = invert_refined(Tinted(), box, wanted, seeds, 2)
    np.testing.assert_array_equal(refined[1], plain[1])
    assert not np.array_equal(refined[0], plain[0])
    told = invert_vectors(Tinted(), box, wanted, samples=2, refine=1)
    assert np.isnan(told.similarity[2:]).all()
    assert np.isfinite(told.similarity[:2]).all()
