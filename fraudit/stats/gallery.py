"""Templates of several pictures, enrolment rules, and who is enrolled, searched for, and kept for thresholds.

A template is fused as the official code of IJB-B and IJB-C does it (Maze et al., "IARPA Janus Benchmark C", ICB
2018): the mean of the features of each medium, summed over media, and divided by its length.

    found = fuse(features, template, media)
    gallery = enrol(unit, people, "mean")
    plan = plan_searches(subjects, seed)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.errors import DataError, InsufficientData, UsageError
from fraudit.stats.calibration import labelled_rng
from fraudit.types import F64, I64, Bool

Rule = Literal["mean", "best", "quality"]
RULES: tuple[Rule, ...] = get_args(Rule)
MOST_SEARCHES = 10  # of one person: a rate over searches would else be that of a few people
LEAST_GALLERY = 2  # enrolled people a side: without another person there is no false positive


@dataclass(frozen=True, slots=True)
class Templates:
    """Vectors to enrol or to search with.

    Attributes:
        vectors: f64[T,D], unit rows; zeros where `ok` is False.
        names: i64[T], template number (or person) of each row, rising; several rows may carry one.
        ok: bool[T], False where no picture of the template has a vector.
    """

    vectors: F64
    names: I64
    ok: Bool

    def __len__(self) -> int:
        return len(self.names)


def _rows(features: NDArray[Any], **of_each: ArrayLike) -> F64:
    """f64[M,D] rows; every named array has one value a row.

    Raises:
        DataError: another shape.
    """
    rows = np.asarray(features, np.float64)
    if rows.ndim != 2:
        raise DataError(f"features must be one row a picture [M, D]; found {rows.ndim} dimensions")
    for name, values in of_each.items():
        if np.asarray(values).shape != (len(rows),):
            raise DataError(
                f"'{name}' must have one value a picture: {len(rows)} pictures, {np.asarray(values).size}"
            )
    return rows


def _unit(names: I64, sums: F64) -> Templates:
    length = np.linalg.norm(sums, axis=1)
    ok = length > 0
    return Templates(np.divide(sums, length[:, None], out=np.zeros_like(sums), where=ok[:, None]), names, ok)


def _sum_rows(codes: I64, rows: F64, count: int) -> F64:
    """f64[count,D]: sums of f64[M,D] rows by code."""
    from scipy.sparse import csr_matrix

    pick = csr_matrix((np.ones(len(rows)), (codes, np.arange(len(rows)))), (count, len(rows)))
    return np.asarray(pick @ rows, np.float64)


def fuse(
    features: NDArray[Any], template: ArrayLike, media: ArrayLike, ok: ArrayLike | None = None
) -> Templates:
    """One unit vector a template: mean of the features of each medium, sum over media, L2.

    Args:
        features: f[M,D], as the model gives them or unit rows. template, media: i64[M]; a medium belongs to its
            template, so that equal numbers in two templates are two media.
        ok: bool[M], False where a picture has no vector: it is left out.
    Raises:
        DataError: other shapes, or a feature that is not finite.
    """
    rows = _rows(features, template=template, media=media)
    use = np.ones(len(rows), bool) if ok is None else np.asarray(ok, bool)
    rows = np.where(use[:, None], rows, 0.0)
    if not np.isfinite(rows).all():
        raise DataError("features must be finite; mark pictures without a vector with ok = False")
    names, at = np.unique(np.asarray(template), return_inverse=True)
    at = at.ravel()
    medium = np.unique(np.asarray(media), return_inverse=True)[1].ravel()
    many = int(medium.max()) + 1 if len(medium) else 1
    groups, of = np.unique(at * many + medium, return_inverse=True)
    of = of.ravel()
    pictures = np.bincount(of, use, len(groups))
    means = _sum_rows(of, rows, len(groups)) / np.maximum(pictures, 1)[:, None]
    return _unit(names.astype(np.int64), _sum_rows(groups // many, means, len(names)))


def enrol(
    unit: NDArray[Any],
    people: ArrayLike,
    rule: Rule = "mean",
    quality: ArrayLike | None = None,
    ok: ArrayLike | None = None,
) -> Templates:
    """What a gallery holds of each person.

    Args:
        unit: f[M,D] unit rows of the pictures enrolled. people: i64[M]. ok: bool[M], False: no vector.
        rule: `mean` of the unit vectors; `best`: every vector is kept and the best score counts; `quality`: mean
            weighted by `quality` f64[M] >= 0 (a person whose pictures all have quality 0 gets the plain mean).
    Returns:
        one row a person, or for `best` one a picture (a person without any vector keeps one row, not ok).
    Raises:
        UsageError: unknown rule, or `quality` without a quality. DataError: other shapes, a negative quality.
    """
    if rule not in RULES:
        raise UsageError(f"unknown enrolment rule '{rule}'", f"choose of {', '.join(RULES)}")
    rows = _rows(unit, people=people)
    use = np.ones(len(rows), bool) if ok is None else np.asarray(ok, bool)
    known, at = np.unique(np.asarray(people, np.int64), return_inverse=True)
    at = at.ravel()
    rows = np.where(use[:, None], rows, 0.0)
    if rule == "best":
        some = np.bincount(at, use, len(known)) > 0
        kept = np.flatnonzero(use)
        order = kept[np.argsort(at[kept], kind="stable")]
        names = np.concatenate([known[at[order]], known[~some]])
        vectors = np.concatenate([rows[order], np.zeros(((~some).sum(), rows.shape[1]))])
        again = np.argsort(names, kind="stable")
        found = _unit(names, vectors)
        return Templates(found.vectors[again], names[again], found.ok[again])
    weight = np.ones(len(rows))
    if rule == "quality":
        if quality is None:
            raise UsageError("enrolment by quality needs a quality of each picture", "or use rule 'mean'")
        weight = np.asarray(quality, np.float64)
        _rows(unit, quality=weight)
        if not np.isfinite(weight[use]).all() or (weight[use] < 0).any():
            raise DataError("qualities that weigh pictures must be numbers of at least 0")
        weight = np.where(use, weight, 0.0)
        weight = np.where((np.bincount(at, weight, len(known)) > 0)[at], weight, 1.0)
    return _unit(known, _sum_rows(at, rows * weight[:, None], len(known)))


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """What each picture does in the audit of 1:N search.

    Attributes:
        judged: bool[M], picture of a person of the judged side (else of the calibration side).
        enrolled: bool[M], picture of a person who is enrolled. Others are searches of people who are not.
        order: i64[M], 0, 1, ... of the person's enrolment pictures in the order they are used; -1: a search.
        used: bool[M], False for searches beyond `most` of a person and enrolment pictures beyond `most_enrolled`.
        people: i64[2], enrolled people of the calibration side and of the judged side (equal).
    """

    judged: Bool
    enrolled: Bool
    order: I64
    used: Bool
    people: I64

    def gallery(self, judged: bool, pictures: int = 1) -> I64:
        """Rows to enrol on one side: the first `pictures` of each person."""
        return np.flatnonzero(
            (self.judged == judged) & self.enrolled & self.used & (self.order >= 0) & (self.order < pictures)
        )

    def searches(self, judged: bool, mated: bool) -> I64:
        """Rows to search with on one side, of people who are enrolled (`mated`) or who are not."""
        return np.flatnonzero(
            (self.judged == judged) & (self.enrolled == mated) & self.used & (self.order < 0)
        )


def plan_searches(
    subjects: ArrayLike,
    seed: int = 0,
    *,
    most_enrolled: int = 1,
    enrolled_share: float = 0.5,
    most: int = MOST_SEARCHES,
) -> SearchPlan:
    """Deal people, not pictures, into two sides, and on each into enrolled and not enrolled.

    Args:
        subjects: i64[M], person of each picture. seed: of the deal and of which pictures are enrolled.
        most_enrolled: pictures enrolled of a person, at least 1. A person with c pictures enrols at most half of
            them (one of one, two or three), so that searches are left.
        enrolled_share: of the people of a side, in (0, 1). most: searches of one person.

    People with one picture and people with several are dealt apart, in the same shares, so that the enrolled, the
    people who are not enrolled and both sides are alike. An enrolled person with one picture is searched by nobody
    and stands in others' way; a person who is not enrolled may have any number. Both galleries have the same size.

    Raises:
        UsageError: a parameter out of range. InsufficientData: fewer than two enrolled people a side, or nobody
            left who is not enrolled, or no enrolled person with two pictures.
    """
    if most_enrolled < 1 or most < 1 or not 0 < enrolled_share < 1:
        raise UsageError(
            f"expected at least 1 picture enrolled, 1 search a person and a share in (0, 1); found {most_enrolled}, "
            f"{most} and {enrolled_share:g}"
        )
    people, at, counts = np.unique(np.asarray(subjects), return_inverse=True, return_counts=True)
    at = at.ravel()
    rng = labelled_rng(seed, "search.deal")
    side, role = np.zeros(len(people), bool), np.zeros(len(people), bool)
    for turn, stratum in enumerate((counts > 1, counts == 1)):
        mixed = rng.permutation(np.flatnonzero(stratum))
        cut = (len(mixed) + turn) // 2  # an odd person goes once here, once there
        for judged, part in ((False, mixed[:cut]), (True, mixed[cut:])):
            side[part] = judged
            role[part[: round(enrolled_share * len(part))]] = True
    _same_size(side, role, counts)
    sizes = np.array([(role & ~side).sum(), (role & side).sum()], np.int64)
    for judged, words in ((False, "calibration"), (True, "judged")):
        mated, others = (role & (side == judged) & (counts > 1)).sum(), (~role & (side == judged)).sum()
        if sizes.min() < LEAST_GALLERY or not mated or not others:
            raise InsufficientData(
                f"1:N search needs on the {words} side {LEAST_GALLERY} enrolled people, one of them with two pictures, "
                f"and one who is not enrolled; {len(people)} people ({(counts > 1).sum()} with several pictures) give "
                f"{sizes[int(judged)]}, {mated} and {others}",
                "use more people",
            )
    rank = _picture_order(at, counts, rng)
    enrols = np.where(role, np.maximum(1, np.minimum(most_enrolled, counts // 2)), 0)[at]
    order = np.where(rank < enrols, rank, -1)
    return SearchPlan(side[at], role[at], order, rank - enrols < most, sizes)


def _same_size(side: Bool, role: Bool, counts: I64) -> None:
    """Takes people out of the larger gallery, distractors first, until both are equal; changes `role`."""
    sizes = [(role & (side == judged)).sum() for judged in (False, True)]
    larger = bool(sizes[1] > sizes[0])
    extra = np.flatnonzero(role & (side == larger))
    first = extra[np.argsort(counts[extra] > 1, kind="stable")]
    role[first[: abs(int(sizes[1] - sizes[0]))]] = False


def _picture_order(at: I64, counts: I64, rng: np.random.Generator) -> I64:
    """i64[M]: 0, 1, ... of each person's pictures in random order."""
    mixed = rng.permutation(len(at))
    order = mixed[np.argsort(at[mixed], kind="stable")]
    rank = np.empty(len(at), np.int64)
    rank[order] = np.arange(len(at)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rank
