"""The doctor names each planted fault, and says nothing of a model without one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from fraudit.analyses.doctor import ANALYSIS, run
from fraudit.analyses.doctor.params import Params
from fraudit.types import AnalysisResult
from tests.fixtures.boxes import identity_faces, luma_pattern
from tests.fixtures.contexts import planted_context, vectors_context

WRONG = ("high", "medium", "low")
CHANCE = np.random.default_rng(5)
CALLS = [0]


def training_mode(images: np.ndarray) -> np.ndarray:
    """Batch normalisation that was left in training mode: of one face alone, nothing is left."""
    plain = luma_pattern(images)
    return (plain - plain.mean(axis=0)) / (plain.std(axis=0) + 1e-3)


def dropout(images: np.ndarray) -> np.ndarray:
    """A tenth of the dimensions is lost by chance."""
    plain = luma_pattern(images)
    return plain * (CHANCE.random(plain.shape) > 0.1)


def dead(images: np.ndarray) -> np.ndarray:
    return luma_pattern(images) * (np.arange(64) != 7)


def constant(images: np.ndarray) -> np.ndarray:
    return np.where(np.arange(64) == 7, np.float32(3), luma_pattern(images))


def duplicated(images: np.ndarray) -> np.ndarray:
    plain = luma_pattern(images)
    plain[:, 9] = -2 * plain[:, 3]
    return plain


def cone(images: np.ndarray) -> np.ndarray:
    return luma_pattern(images) + np.float32(400)


def nan_on_flat(images: np.ndarray) -> np.ndarray:
    """Divides by the deviation of the picture, which a flat one has not."""
    plain = luma_pattern(images)
    return np.where(images.reshape(len(images), -1).std(axis=1, keepdims=True) > 0, plain, np.float32(np.nan))


def batch_scale(images: np.ndarray) -> np.ndarray:
    """Normalised by the least and largest pixel of the whole batch before a bend."""
    low, high = int(images.min()), int(images.max())
    plain = luma_pattern(images)
    return np.tanh(plain / (high - low) * 5).astype(np.float32)


def by_place(images: np.ndarray) -> np.ndarray:
    return (
        luma_pattern(images)
        + np.float32(5) * np.arange(len(images))[:, None] * np.eye(64, dtype=np.float32)[3]
    )


def sorted_answers(images: np.ndarray) -> np.ndarray:
    """Answers come back sorted, whatever the order of the pictures."""
    plain = luma_pattern(images)
    return plain[np.argsort(plain[:, 5])]


def no_single(images: np.ndarray) -> np.ndarray:
    if len(images) == 1:
        raise ValueError("Expected more than 1 value per channel when training")
    return luma_pattern(images)


def examined(embed: Callable[[np.ndarray], np.ndarray]) -> AnalysisResult:
    images, people = identity_faces(24, 2, seed=1)
    return run(planted_context(images, people, embed), Params())


@pytest.mark.parametrize(
    ("embed", "rule"),
    [
        (training_mode, "doctor.batch"),
        (dropout, "doctor.chance"),
        (dead, "doctor.dead"),
        (constant, "doctor.constant"),
        (duplicated, "doctor.duplicated"),
        (cone, "doctor.cone"),
        (nan_on_flat, "doctor.flat"),
        (batch_scale, "doctor.batch"),
        (by_place, "doctor.order"),
        (sorted_answers, "doctor.order"),
        (no_single, "doctor.fails"),
    ],
)
def test_each_planted_fault_is_named_and_no_other(
    embed: Callable[[np.ndarray], np.ndarray], rule: str
) -> None:
    found = [f.rule for f in examined(embed).findings if f.severity in WRONG]
    assert found
    assert set(found) == {rule}


def test_a_sound_model_has_no_finding_and_every_face_shown_is_counted() -> None:
    images, people = identity_faces(24, 2, seed=1)
    context = planted_context(images, people)
    context.embeddings()
    before = context.embedder.queries
    result = run(context, Params())
    asked = context.embedder.queries - before
    assert result.findings == ()
    assert f"{asked} faces" in result.headline
    assert result.answer.endswith(".")
    assert ANALYSIS.work is not None
    assert asked == ANALYSIS.work(context, Params()).questions


def test_rounding_is_no_finding() -> None:
    noise = np.random.default_rng(0)

    def half(images: np.ndarray) -> np.ndarray:
        plain = luma_pattern(images)
        return plain * (1 + noise.normal(0, 2e-3, plain.shape))

    assert examined(half).findings == ()


def test_stored_vectors_are_not_examined() -> None:
    assert vectors_context(np.eye(4), np.arange(4)).no_pictures
    assert "pictures" in ANALYSIS.needs


def test_parameters_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="faces"):
        Params(faces=2)
    with pytest.raises(ValueError, match="wiring"):
        Params(fix="card.toml")
