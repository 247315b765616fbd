"""Which half of the people thresholds are chosen on, and the threshold itself (docs/adr/0005).

An audit does this while it runs; a comparison does it again from the vectors a run left behind, so both use
these functions and draw the same people.

Where nobody is identified, two pictures of different numbers may still show one person. Then only the impostor pairs
that the set declares count (`Declared`), and the half is one of its pairs. A set that declares none has no threshold
(`UNKNOWN`), unless the person who audits it states that nobody is shown twice.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.errors import InsufficientData
from fraudit.stats.pairs import count_matches, linked_people, pair_cosines
from fraudit.stats.verification import ascending, fmr_threshold
from fraudit.types import F32, F64, I64, Bool, PairList

CALIBRATION_FACES = 4000  # all pairs among them: 8 million scores, 64 MB
UNKNOWN = (
    "the set says neither who is shown nor which pairs are of two people, and a threshold needs pairs of two people: "
    "name pairs with --pairs or, where every picture shows another person, state it with --distinct"
)
DISTINCT = "stated, not checked: every picture shows another person"
LARGEST_LINKED = 0.25  # of the pictures; where pairs link more, people are dealt instead of pairs


def labelled_rng(seed: int, label: str) -> np.random.Generator:
    """A generator of its own for every use, so that one analysis never shifts another's draws."""
    return np.random.default_rng([seed, zlib.crc32(label.encode())])


def declared_people(subjects: ArrayLike, declared: PairList) -> I64:
    """i64[N] people of a set without identities: pictures that its genuine pairs link are one person."""
    numbers = np.asarray(subjects, np.int64)
    return linked_people(len(numbers), declared.left[declared.same], declared.right[declared.same], numbers)


def calibration_half(subjects: ArrayLike, seed: int, declared: PairList | None = None) -> Bool:
    """bool[N]: faces of the seeded half of the people i64[N] that thresholds are chosen on.

    Args:
        declared: the pairs of a set without identities. What they link stays together, so that no declared pair is
            lost between the halves; where they link more than `LARGEST_LINKED` of the pictures, people are dealt.
    """
    people = np.asarray(subjects)
    if declared is not None:
        people = declared_people(people, declared)
        blocks = linked_people(len(people), declared.left, declared.right, people)
        if np.bincount(blocks).max() <= LARGEST_LINKED * len(blocks):
            people = blocks
    known = np.unique(people)
    chosen = labelled_rng(seed, "calibration").permutation(known)[: len(known) // 2]
    return np.isin(people, chosen)


@dataclass(frozen=True, slots=True)
class Calibration:
    """Impostor scores among the calibration half.

    Attributes:
        rows: i64[M] faces. people: i64[M] their subjects. impostor: f64[P] cosines of all their impostor pairs,
            ascending, or of those that the set declares, in its order.
        unit: f32[M,D]. left, right: i64[P] people of each pair where pairs are declared, else None (all pairs).
    """

    rows: I64
    people: I64
    impostor: F64
    unit: NDArray[np.floating]
    left: I64 | None = None
    right: I64 | None = None

    def threshold(self, fmr: float) -> float:
        """The lowest observed cosine whose FMR is at most `fmr`."""
        return float(fmr_threshold(self.impostor, fmr))

    def sums(self, threshold: float, everyone: I64 | None = None) -> F64:
        """f64[S]: residuals of the FMR over the pairs, by person of `everyone` (i64[S] sorted; default: those here)."""
        known = np.unique(self.people) if everyone is None else everyone
        if self.left is None or self.right is None:
            return fmr_sums(self.unit, self.people, threshold, np.ones(len(self.rows), bool), known)[2]
        return pair_sums(self.impostor >= threshold, self.left, self.right, known)

    def tail(self, fmr: float, genuine: F64, everyone: I64 | None = None, weights: F64 | None = None) -> F64:
        """f64[S]: what each calibration person adds to the error of an FNMR through the threshold for `fmr`.

        Args:
            genuine: f64[G] scores of the judged genuine pairs (NaN: rejected). weights: f64[G], equal by default.

        A threshold whose FMR here is e above that of all people lies at a true FMR e lower, so that the FNMR moves by
        -e dFNMR/dFMR; the slope is taken over a step of the FMR's own standard error.
        """
        sums = self.sums(self.threshold(fmr), everyone)
        step = max(float(np.sqrt(sums @ sums)), 1.5 / len(self.impostor), 0.02 * fmr)
        ends = [max(fmr - step, fmr / 4), min(fmr + step, 1.0)]
        rejected = [float(np.average(~(genuine >= self.threshold(end)), weights=weights)) for end in ends]
        return threshold_tail((rejected[1] - rejected[0]) / (ends[1] - ends[0]), sums)


def threshold_tail(slope: float, sums: ArrayLike) -> F64:
    """f64[S]: what each calibration person adds to a rate's error through the threshold.

    Args:
        slope: d rate / d FMR at the threshold. sums: f64[S] residual sums of the calibration FMR over its pairs.

    A threshold whose FMR on the calibration people is e too high compared with all people lies at a true FMR e
    lower, hence the sign.
    """
    return -slope * np.asarray(sums, np.float64)


def fmr_sums(
    unit: NDArray[np.floating], subjects: I64, threshold: float, ok: Bool, everyone: I64
) -> tuple[float, int, F64, F64]:
    """FMR over all pairs of different people, and who carries it.

    Returns:
        (FMR, pairs, f64[S] residual sums over the pairs by person of `everyone`, f64[S] pairs each is in).

    Raises:
        InsufficientData: no pair of different people.
    """
    counts = count_matches(unit, subjects, threshold, np.zeros(len(subjects), np.int64), ok)
    n, hits = int(counts.pairs[0, 0]), int(counts.matches[0, 0])
    if not n:
        raise InsufficientData("no pair of different people")
    residual = counts.face_matches[:, 0] - hits / n * counts.face_pairs[:, 0]
    codes = np.searchsorted(everyone, subjects)
    sums, of = (
        np.bincount(codes, weights=each, minlength=len(everyone))
        for each in (residual, counts.face_pairs[:, 0])
    )
    return hits / n, n, sums / n, of.astype(np.float64)


def pair_sums(events: Bool, left: I64, right: I64, everyone: I64) -> F64:
    """f64[S] residual sums of the share of bool[P] events over the pairs, by person of `everyone` (sorted)."""
    residual = events - events.mean()
    codes = [np.searchsorted(everyone, side) for side in (left, right)]
    sums = sum(np.bincount(code, weights=residual, minlength=len(everyone)) for code in codes)
    return np.asarray(sums) / len(events)


def pair_counts(left: I64, right: I64, everyone: I64) -> F64:
    """f64[S]: how many of the pairs each person of `everyone` (sorted) is in."""
    codes = np.searchsorted(everyone, np.concatenate([left, right]))
    return np.bincount(codes, minlength=len(everyone)).astype(np.float64)


def calibrate(
    unit: F32 | NDArray[np.floating],
    subjects: ArrayLike,
    ok: Bool,
    seed: int,
    declared: PairList | None = None,
    other: bool = False,
) -> Calibration:
    """Score the calibration half (at most `CALIBRATION_FACES` of its faces), or with `other` the half beside it.

    Args:
        unit: f32[N,D] unit vectors. subjects: i64[N]. ok: bool[N], whether there is a vector.
        declared: the pairs of a set without identities; only its impostor pairs are scored.
    Raises:
        InsufficientData: no impostor pair among them.
    """
    labels = np.asarray(subjects, np.int64)
    held = (calibration_half(labels, seed, declared) ^ other) & ok
    if declared is not None:
        return _declared(unit, declared_people(labels, declared), held, declared)
    rows = np.flatnonzero(held)
    if len(rows) > CALIBRATION_FACES:
        rows = np.sort(labelled_rng(seed, "threshold").choice(rows, CALIBRATION_FACES, replace=False))
    people = labels[rows]
    chosen = unit[rows]
    upper = np.triu(people[:, None] != people[None, :], k=1)
    impostor = ascending((chosen @ chosen.T)[upper])
    if len(impostor) == 0:
        raise InsufficientData("no impostor pair in the calibration half", "use a set with more people")
    return Calibration(rows, people, impostor, chosen)


def _declared(unit: NDArray[np.floating], people: I64, held: Bool, declared: PairList) -> Calibration:
    use = ~declared.same & held[declared.left] & held[declared.right]
    left, right = declared.left[use], declared.right[use]
    if not len(left):
        raise InsufficientData(
            "no impostor pair that the set declares lies in the calibration half",
            "give a set that says who is shown, or a longer list of pairs",
        )
    rows = np.unique(np.concatenate([left, right]))
    return Calibration(
        rows, people[rows], pair_cosines(unit, left, right), unit[rows], people[left], people[right]
    )


def judged(pairs: PairList, held: Bool) -> PairList:
    """The pairs neither of whose faces lies in the calibration half bool[N]."""
    keep = ~(held[pairs.left] | held[pairs.right])
    return PairList(pairs.left[keep], pairs.right[keep], pairs.same[keep], pairs.fold[keep])
