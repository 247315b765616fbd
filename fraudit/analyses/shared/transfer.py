"""Vectors of two models, people in disjoint parts, and the translator between them from more and more pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fraudit.errors import InsufficientData
from fraudit.stats.calibration import labelled_rng
from fraudit.stats.gallery import SearchPlan, plan_searches
from fraudit.stats.translation import fit_translator
from fraudit.types import F64, I64, Embeddings

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

LEAST_PEOPLE = 50
LEAST_PAIRS = 20  # pictures that a translator is fitted to
DRAW = "Intervals are for this draw of known pictures; another draw would give another translator and other figures."


SAME = "Both models give the same vectors of every face"


@dataclass(frozen=True, slots=True)
class Both:
    """Faces that have a vector of both models.

    Attributes:
        first, second: f[N,D] and f[N,E] unit rows. subjects: i64[N]. names: of the models.
        missing: faces left out, by model and reason (the first model's where neither takes one). faces: of the set.
        known: i64[K] faces of the people that the translator may see, in the order in which they are used.
        rest: i64[M] faces of all other people; `plan` deals them into calibration and judged, enrolled and not.
    """

    first: NDArray[Any]
    second: NDArray[Any]
    subjects: I64
    missing: Mapping[str, int]
    faces: int
    names: tuple[str, str]
    known: I64
    rest: I64
    plan: SearchPlan

    @property
    def same(self) -> bool:
        """Whether both models give the same vectors."""
        return self.first.shape == self.second.shape and bool(np.allclose(self.first, self.second, atol=1e-5))


def both_models(context: AnalysisContext, share: float, most: int, what: str) -> Both:
    """Both models' vectors of the set's faces, a `share` of the people set apart for the translator.

    Args:
        most: searches of one person.

    Raises:
        InsufficientData: fewer than `LEAST_PEOPLE` people with two pictures.
    """
    assert context.other is not None
    answers = context.embeddings(), context.embeddings(context.other)
    rows = np.flatnonzero(answers[0].ok & answers[1].ok)
    subjects = context.faces.subjects[rows]
    people, counts = np.unique(subjects, return_counts=True)
    several = int((counts > 1).sum())
    if several < LEAST_PEOPLE:
        raise InsufficientData(
            f"{what} needs {LEAST_PEOPLE} people with two pictures that both models give a vector for; found {several}",
            "use a set with more people (or a larger --limit)",
        )
    rng = labelled_rng(context.seed, "transfer.parts")
    own = []
    for stratum in (counts > 1, counts == 1):
        mixed = rng.permutation(people[stratum])
        own.append(mixed[: round(share * len(mixed))])
    apart = np.isin(subjects, np.concatenate(own))
    rest = np.flatnonzero(~apart)
    plan = plan_searches(subjects[rest], context.seed, most_enrolled=1, enrolled_share=2 / 3, most=most)
    known = rng.permutation(np.flatnonzero(apart))
    names = context.embedder.spec.name, context.other.spec.name
    units = (answers[0].unit()[rows], answers[1].unit()[rows])
    missing = _left_out(answers, names)
    return Both(*units, subjects, missing, len(answers[0].ok), names, known, rest, plan)


def _left_out(answers: Sequence[Embeddings], names: tuple[str, str]) -> dict[str, int]:
    """Faces by the reason for which a model gives no vector."""
    found: Counter[str] = Counter()
    for one, other in zip(answers[0].reasons, answers[1].reasons, strict=True):
        if one or other:
            who = "both models" if one and other else f"{names[0]} (first)" if one else f"{names[1]} (second)"
            found[f"{who}: {one or other}"] += 1
    return dict(found.most_common())


def left_out_words(missing: Mapping[str, int], faces: int) -> str:
    """Caveat of the faces left out, '' where there are none."""
    if not missing:
        return ""
    why = "; ".join(f"{reason} ({count:,})" for reason, count in missing.items())
    return (
        f"{sum(missing.values()):,} of {faces:,} faces have no vector of one model or of both and are left out, so "
        f"every rate here is of faces that both models take. By model and reason: {why}."
    )


def counts_of(wanted: Sequence[int], available: int, parameter: str) -> tuple[int, ...]:
    """Rising numbers of pictures to fit to: those wanted that there are, and all of them.

    Raises:
        InsufficientData: there are fewer than `LEAST_PAIRS`.
    """
    if available < LEAST_PAIRS:
        raise InsufficientData(
            f"a translator needs {LEAST_PAIRS} pictures of people who are not judged; found {available}",
            f"use a larger set, or raise --param {parameter}",
        )
    return tuple(sorted({n for n in wanted if n < available} | {available}))


@dataclass(frozen=True, slots=True)
class Carried:
    """The first model's vectors in the second one's space.

    Attributes:
        unit: f64[M,E] of the faces `Both.rest`. pairs: pictures the translator was fitted to. kind: of translator.
        better: what a network gained in cosine on people held out, NaN where none was tried.
    """

    unit: F64
    pairs: int
    kind: str
    better: float


def carried(both: Both, pairs: int, seed: int, *, network: bool, shuffled: bool = False) -> Carried:
    """Translate with the first `pairs` known pictures; `shuffled`: with another picture's vector as the answer."""
    rows = both.known[:pairs]
    answers = rows if not shuffled else labelled_rng(seed, f"transfer.null.{pairs}").permutation(rows)
    fitted = fit_translator(
        both.first[rows], both.second[answers], both.subjects[rows], seed=seed, network=network
    )
    return Carried(fitted(both.first[both.rest]), pairs, fitted.kind, fitted.better)
