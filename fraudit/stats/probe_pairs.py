"""Which faces are probes, what each is compared with, and the scores of these comparisons."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fraudit.errors import InsufficientData
from fraudit.types import F32, F64, I64, Bool, PairList


@dataclass(frozen=True, slots=True)
class ProbePairs:
    """Comparisons of K probes with clean enrolments.

    Attributes:
        probes: i64[K], face of each probe.
        row: i64[P], the probe of each comparison, as a row of `probes`.
        enrolled: i64[P], the clean face it is compared with.
        left, right: i64[P], their subjects.
        same: bool[P], genuine.
    """

    probes: I64
    row: I64
    enrolled: I64
    left: I64
    right: I64
    same: Bool


def probe_pairs(
    subjects: I64,
    usable: Bool,
    limit: int,
    rng: np.random.Generator,
    *,
    mates: int = 3,
    strangers: int = 60,
    most: int = 3,
) -> ProbePairs:
    """Probes spread over as many people as possible, each compared with its mates and with strangers.

    People with two usable pictures come first, one probe each, then their second pictures and so on. Nobody gives
    more than `most` probes or `mates` comparisons a probe: a few people of many pictures would carry the rates.

    Args:
        subjects: i64[N]. usable: bool[N]. limit: most probes.
        mates: most genuine comparisons of a probe; strangers: impostor comparisons of a probe. most: probes a person.
    Raises:
        InsufficientData: fewer than two people have a usable picture.
    """
    faces = rng.permutation(np.flatnonzero(usable))
    people, person = np.unique(subjects[faces], return_inverse=True)
    if len(people) < 2:
        raise InsufficientData(f"probes need pictures of at least 2 people; found {len(people)}")
    counts = np.bincount(person)
    # Rank of a picture within its person, in the shuffled order.
    order = np.argsort(person, kind="stable")
    rank = np.empty(len(faces), np.int64)
    rank[order] = np.arange(len(faces)) - np.repeat(np.cumsum(counts) - counts, counts)
    paired = counts[person] >= 2
    wanted = paired if paired.any() else np.ones(len(faces), bool)
    candidates = np.flatnonzero(wanted & (rank < most))
    candidates = candidates[np.argsort(rank[candidates], kind="stable")][:limit]
    chosen = faces[candidates]
    rows: list[I64] = []
    enrolled: list[I64] = []
    for k, face in enumerate(chosen):
        own = subjects[faces] == subjects[face]
        near = faces[own & (faces != face)][:mates]
        others = faces[~own]
        far = others if len(others) <= strangers else rng.choice(others, strangers, replace=False)
        enrolled += [near, far]
        rows.append(np.full(len(near) + len(far), k, np.int64))
    row, enrol = np.concatenate(rows), np.concatenate(enrolled)
    left, right = subjects[chosen][row], subjects[enrol]
    return ProbePairs(chosen, row, enrol, left, right, left == right)


def protocol_pairs(
    pairs: PairList, subjects: I64, usable: Bool, limit: int, rng: np.random.Generator
) -> ProbePairs:
    """The same from a protocol of a set without identities: the left face of a pair is the probe.

    Genuine and impostor pairs are drawn in equal parts until `limit` probes are reached.
    """
    good = np.flatnonzero(usable[pairs.left] & usable[pairs.right])
    taken: list[I64] = []
    for kind in (True, False):
        part = rng.permutation(good[pairs.same[good] == kind])
        probes = np.unique(pairs.left[part], return_index=True)[1]
        first = set(pairs.left[part[np.sort(probes)[: max(1, limit // 2)]]].tolist())
        taken.append(part[[int(p) in first for p in pairs.left[part]]])
    keep = np.concatenate(taken)
    probes, row = np.unique(pairs.left[keep], return_inverse=True)
    right = pairs.right[keep]
    same = pairs.same[keep]
    # Without identities a genuine pair's faces are one subject, and every other face its own.
    left_subject = subjects[pairs.left[keep]]
    return ProbePairs(probes, row, right, left_subject, np.where(same, left_subject, subjects[right]), same)


@dataclass(frozen=True, slots=True)
class ProbeScores:
    """What a black box says of K corrupted probes.

    Attributes:
        scores: f64[P] of the comparisons; NaN where the probe gave none.
        similarity: f64[K] cosines of the corrupted picture's vector to the clean one's (NaN: no vector), or None
            where the box gives no vectors.
    """

    scores: F64
    similarity: F64 | None = None

    def lost(self, pairs: ProbePairs) -> Bool:
        """bool[K]: probes of which a comparison has no score."""
        return np.bincount(pairs.row, np.isnan(self.scores), len(pairs.probes)) > 0


@dataclass(frozen=True, slots=True)
class ProbeVectors:
    """Unit vectors f32[K,D] of K corrupted probes; `ok` bool[K] marks those that were found and embedded."""

    vectors: F32
    ok: Bool


class ProbeCosines:
    """The scores of comparisons where vectors are at hand: cosines.

    Args:
        pairs: the comparisons. clean: f32[N,D] unit vectors of the clean faces.
    """

    def __init__(self, pairs: ProbePairs, clean: F32) -> None:
        self.pairs = pairs
        enrolled, self._column = np.unique(pairs.enrolled, return_inverse=True)
        self._enrolled = clean[enrolled].astype(np.float64)
        self._probes = clean[pairs.probes]

    def clean(self) -> F64:
        """f64[P] cosines of the clean probes."""
        return self._cosines(self._probes)

    def corrupted(self, vectors: F32, ok: Bool) -> ProbeScores:
        """Of corrupted probes: f32[K,D] unit rows in the order of `pairs.probes`, bool[K] those that were acquired."""
        scores = np.where(ok[self.pairs.row], self._cosines(vectors), np.nan)
        similarity = np.full(len(ok), np.nan)
        similarity[ok] = np.einsum("kd,kd->k", vectors[ok], self._probes[ok], dtype=np.float64)
        return ProbeScores(scores, similarity)

    def _cosines(self, probes: F32) -> F64:
        scores = probes.astype(np.float64) @ self._enrolled.T
        return np.asarray(scores[self.pairs.row, self._column], np.float64)
