"""Enrolled like this, seen like that: error rates of every two conditions of pictures (glasses, light, mask, camera).

A label that varies within people gives genuine pairs across its values, which groups of people cannot. Each cell is one
condition of the enrolled picture and one of the picture that is seen. Where neither side is enrolled (all pairs of a
set) a pair counts for both orders, and the matrix is symmetric.

A cell is compared with the reference cell (by default the most common condition with itself) within people: the mean
over people, each weighing the same, of a person's own rate or mean similarity in the cell less that in the reference.
Who has pictures in only one of the two says nothing of the difference and takes no part. Under no effect of the label a
person's difference may change its sign (Hemerik, Goeman and Finos, JRSS B 82, 2020): p values are of sign flips, Holm
over all cells of a kind. Impostor pairs belong to two people; their FMR is compared over the same people's pairs by
identity-clustered sums (`fraudit.stats.rate_changes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations_with_replacement, product
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.errors import InsufficientData, UsageError, suggest
from fraudit.stats.contrasts import VARIES, fewest_both, tail_share
from fraudit.stats.fairness import holm
from fraudit.stats.groups import label_groups
from fraudit.stats.intervals import LEAST_PEOPLE, clustered_mean, clustered_rate, interval_or_reason
from fraudit.stats.rate_changes import Change, rate_change
from fraudit.stats.robustness import person_difference
from fraudit.types import F64, I64, Bool, Interval

MOST_CONDITIONS = 16
LEAST_WITH_BOTH = 6  # people with two values of a label, below which it does not count as varying
FLIPS, MOST_FLIPS = 20_000, 1_000_000
_ROOM = 4_000_000  # signs held at once


def value_variation(labels: ArrayLike, subjects: I64) -> tuple[float, int]:
    """(how often two pictures of one person differ in the label relative to two people's, people with two values).

    About 1 where the label is a picture's, 0 where it is a person's; each person weighs the same. `contrasts.variation`
    for any number of values.

    Args:
        labels: N words, '' unknown. subjects: i64[N].
    """
    words = np.asarray(labels).astype(str)
    known = words != ""
    if not known.any():
        return 0.0, 0
    values = np.unique(words[known], return_inverse=True)[1].ravel()
    people = np.unique(subjects[known], return_inverse=True)[1].ravel()
    table = np.zeros((people.max() + 1, values.max() + 1))
    np.add.at(table, (people, values), 1.0)
    n = table.sum(axis=1)
    several = n >= 2
    both = int(((table > 0).sum(axis=1) > 1).sum())
    if not several.any():
        return 0.0, both
    same = (table * (table - 1)).sum(axis=1)[several] / (n * (n - 1))[several]
    share = table / n[:, None]
    total, count = share.sum(axis=0), len(n)
    strangers = 1 - (total @ total - (share**2).sum()) / max(count * (count - 1), 1)
    return (float((1 - same).mean() / strangers) if strangers > 0 else 0.0), both


def varying_labels(
    attributes: Mapping[str, NDArray[Any]], subjects: I64
) -> tuple[dict[str, NDArray[np.str_]], dict[str, str]]:
    """(name -> str[N] conditions of labels that vary within people, name -> why another does not serve).

    Numbers are cut into groups as everywhere (`groups.label_groups`).
    """
    found: dict[str, NDArray[np.str_]] = {}
    skipped: dict[str, str] = {}
    for name, raw in attributes.items():
        words = label_groups(np.asarray(raw))
        count = len(np.unique(words[words != ""]))
        if not 2 <= count <= MOST_CONDITIONS:
            skipped[name] = f"{count} values, not 2 to {MOST_CONDITIONS}"
            continue
        share, both = value_variation(words, subjects)
        if both < LEAST_WITH_BOTH:
            skipped[name] = f"{both} people have two values, fewer than {LEAST_WITH_BOTH}"
        elif share < VARIES:
            skipped[name] = (
                f"mostly a person's: two pictures of one differ {share:.2f} times as often as two people's"
            )
        else:
            found[name] = words
    return found, skipped


def most_common(labels: ArrayLike, subjects: I64) -> str:
    """The condition that most people have a picture in, among these that of most pictures, then the first by name.

    Raises:
        InsufficientData: no label is known.
    """
    words = np.asarray(labels).astype(str)
    known = [str(w) for w in np.unique(words) if w != ""]
    if not known:
        raise InsufficientData("no picture has a known condition")
    return max(known, key=lambda w: (len(np.unique(subjects[words == w])), int((words == w).sum())))


@dataclass(frozen=True, slots=True)
class PairedCell:
    """A cell less the reference cell, within people.

    Attributes:
        value: mean over people. interval: or None with the reason in `missing`. people: with pairs in both cells.
        p: of sign flips, 1 where too few people; p_holm: corrected over the cells.
    """

    value: float
    interval: Interval | None
    missing: str
    people: int
    p: float
    p_holm: float


@dataclass(frozen=True, slots=True)
class Cell:
    """One enrolled condition seen in one condition.

    Attributes:
        enrolled, seen: conditions. rate: FNMR (genuine) or FMR (impostor), None without a pair.
        interval: of it, or None with the reason in `missing`. similarity: mean score of the pairs that have one, with
            `similarity_interval` (genuine cells alone).
        errors, pairs, people: counts; an impostor pair has two people.
        rate_change, similarity_change: against the reference cell; None for it and for a cell without a pair. For
            impostor cells `fmr_change` with `fmr_p_holm`.
    """

    enrolled: str
    seen: str
    rate: float | None
    interval: Interval | None
    missing: str
    similarity: float | None
    similarity_interval: Interval | None
    errors: int
    pairs: int
    people: int
    rate_change: PairedCell | None = None
    similarity_change: PairedCell | None = None
    fmr_change: Change | None = None
    fmr_p_holm: float = 1.0


@dataclass(frozen=True, slots=True)
class Matrix:
    """All cells of one label.

    Attributes:
        conditions: C names, the reference first. reference: (enrolled, seen).
        genuine, impostor: C x C cells by (enrolled, seen); `impostor` is empty where no impostor pairs were given.
        unknown: pairs with an unknown condition. ordered: whether the first picture of a pair is the enrolled one.
    """

    conditions: tuple[str, ...]
    reference: tuple[str, str]
    genuine: Mapping[tuple[str, str], Cell]
    impostor: Mapping[tuple[str, str], Cell]
    unknown: int
    ordered: bool

    def found(self, family: float = 0.05) -> list[Cell]:
        """Genuine cells whose FNMR or similarity differs from the reference, and impostor ones by FMR.

        The three kinds share `family` evenly, so that with no effect any is found in at most that share of cases.
        """
        cells = {id(c): c for c in (*self.genuine.values(), *self.impostor.values())}
        level = family / (3 if self.impostor else 2)
        return [
            c
            for c in cells.values()
            if any(x is not None and x.p_holm <= level for x in (c.rate_change, c.similarity_change))
            or (c.fmr_change is not None and c.fmr_p_holm <= level)
        ]


def _person_sums(values: F64, people: I64, count: int) -> tuple[F64, F64]:
    """(f64[count] mean of each person's values, f64[count] how many)."""
    n = np.bincount(people, minlength=count).astype(np.float64)
    return np.bincount(people, values, count) / np.maximum(n, 1), n


def sign_flip_p(differences: F64, tests: int, seed: int = 0, least: float = 0.0) -> float:
    """Two-sided p of people's differences f64[K] with mean 0, signs flipped; 1 below `fewest_both(tests)` people.

    Of means that are studentised, so that one large person does not decide. All flips where there are few.

    Args:
        least: p that must be within reach: where none of the first `FLIPS` is as extreme, as many are drawn anew as
            a third of it takes. Both stages are valid p values, and the second is only ever larger than what the
            first would allow.
    """
    k = len(differences)
    if k < fewest_both(tests) or not differences.any():
        return 1.0
    square = float(differences @ differences)

    def size(means: F64) -> F64:
        return np.abs(means) / np.sqrt(np.maximum(square / k - means**2, 1e-12 * square / k))

    observed = float(size(np.array([differences.mean()]))[0])
    if k <= 14:
        signs = np.where((np.arange(2 ** (k - 1))[:, None] >> np.arange(k)) & 1, -1.0, 1.0)
        return tail_share(size(signs @ differences / k), observed, True)
    rng = np.random.default_rng([seed, 47])

    def drawn(count: int) -> float:
        step = max(1, _ROOM // k)
        parts = [
            rng.choice(np.array([-1.0, 1.0]), (min(step, count - start), k)) @ differences / k
            for start in range(0, count, step)
        ]
        return tail_share(size(np.concatenate(parts)), observed, False)

    p = drawn(FLIPS)
    if p * (FLIPS + 1) < 1.5 and p > least > 0:
        return drawn(min(int(np.ceil(3 / least)), MOST_FLIPS))
    return p


def _paired(
    values: F64,
    people: I64,
    cell: Bool,
    reference: Bool,
    count: int,
    tests: int,
    rates: bool,
    level: float,
    least: float,
) -> tuple[float, Interval | None, str, int, float]:
    """(mean difference over people, interval, reason, people, p) of bool[P] cell less bool[P] reference."""
    one, n_one = _person_sums(values[cell], people[cell], count)
    two, n_two = _person_sums(values[reference], people[reference], count)
    both = (n_one > 0) & (n_two > 0)
    k = int(both.sum())
    if not k:
        return float("nan"), None, "nobody has pairs in this cell and in the reference", 0, 1.0
    away = (one - two)[both]
    if k < LEAST_PEOPLE:
        why = f"people with pairs in both cells: {k}; at least {LEAST_PEOPLE:.0f} are needed"
        return float(away.mean()), None, why, k, 1.0
    if rates:
        found = person_difference(away, np.ones(k), level)
        return found.value, found.interval, found.reason, k, sign_flip_p(away, tests, least=least)
    around = clustered_mean(away, np.arange(k), level)
    return float(away.mean()), around, "", k, sign_flip_p(away, tests, least=least)


def condition_matrix(
    labels: ArrayLike,
    subjects: I64,
    left: I64,
    right: I64,
    scores: ArrayLike,
    threshold: float,
    *,
    impostors: tuple[I64, I64, ArrayLike] | None = None,
    reference: str | tuple[str, str] | None = None,
    ordered: bool = False,
    level: float = 0.95,
    change_level: float | None = None,
    least: float = 0.0,
) -> Matrix:
    """FNMR, mean similarity and FMR of every two conditions at one threshold, against the reference cell.

    Args:
        labels: N conditions, '' unknown. subjects: i64[N].
        left, right: i64[P], pictures of genuine pairs; `left` is the enrolled one where `ordered`.
        scores: f64[P], NaN where there is no vector (an error, without a similarity).
        threshold: a pair matches at or above it.
        impostors: (left, right, scores) of impostor pairs.
        reference: a condition, or (enrolled, seen); by default the most common condition with itself.
        level: of intervals; `change_level` of those of changes, where it is another.
        least: p before correction that sign flips must be able to reach (`sign_flip_p`).
    Raises:
        UsageError: an unknown reference. InsufficientData: no genuine pair with both conditions known.
    """
    words = np.asarray(labels).astype(str)
    usual = reference if reference is not None else most_common(words, subjects)
    base = usual if isinstance(usual, tuple) else (usual, usual)
    names = [str(w) for w in np.unique(words) if w != ""]
    for name in base:
        if name not in names:
            raise UsageError(
                f"no picture has the condition '{name}'; {suggest(name, names)}known: {', '.join(names)}"
            )
    names.sort(key=lambda w: (w != base[0], w != base[1], w))
    code = {w: i for i, w in enumerate(names)}
    at = np.array([code.get(w, -1) for w in words], np.int64)
    if not ordered:
        base = (names[min(code[b] for b in base)], names[max(code[b] for b in base)])
    cells = list(product(names, names) if ordered else combinations_with_replacement(names, 2))
    numbers = {cell: code[cell[0]] * len(names) + code[cell[1]] for cell in cells}
    where = _cells_of(at, left, right, ordered, len(names))
    if not (where >= 0).any():
        raise InsufficientData("no genuine pair has a known condition at both pictures")
    away = level if change_level is None else change_level
    genuine = _genuine(
        numbers, base, where, np.asarray(scores, np.float64), threshold, subjects[left], (level, away), least
    )
    impostor: dict[tuple[str, str], Cell] = {}
    if impostors is not None:
        a, b, other = impostors
        hit = np.asarray(other, np.float64) >= threshold
        places = _cells_of(at, a, b, ordered, len(names))
        impostor = _impostor(numbers, base, places, hit, subjects[a], subjects[b], (level, away))
    if not ordered:
        genuine, impostor = _mirrored(genuine), _mirrored(impostor)
    return Matrix(tuple(names), base, genuine, impostor, int((where < 0).sum()), ordered)


def _cells_of(codes: I64, left: I64, right: I64, ordered: bool, count: int) -> I64:
    """i64[P]: number of each pair's cell, -1 where a condition is unknown."""
    a, b = codes[left], codes[right]
    one, two = (a, b) if ordered else (np.minimum(a, b), np.maximum(a, b))
    return np.where((a >= 0) & (b >= 0), one * count + two, -1)


def _genuine(
    numbers: Mapping[tuple[str, str], int],
    base: tuple[str, str],
    where: I64,
    scores: F64,
    threshold: float,
    people: I64,
    levels: tuple[float, float],
    least: float,
) -> dict[tuple[str, str], Cell]:
    level = levels[0]
    codes = np.unique(people, return_inverse=True)[1].ravel()
    count = int(codes.max()) + 1
    errors = (~(scores >= threshold)).astype(np.float64)
    scored = ~np.isnan(scores)
    reference = where == numbers[base]
    others = [cell for cell, number in numbers.items() if cell != base and (where == number).any()]
    changes: dict[str, dict[tuple[str, str], PairedCell]] = {}
    for kind, values, use in (("rate", errors, np.ones(len(scores), bool)), ("similarity", scores, scored)):
        found = [
            _paired(
                values,
                codes,
                (where == numbers[c]) & use,
                reference & use,
                count,
                len(others),
                kind == "rate",
                levels[1],
                least,
            )
            for c in others
        ]
        adjusted = holm([p for *_, p in found]) if found else np.empty(0)
        changes[kind] = {
            c: PairedCell(*row, float(h)) for c, row, h in zip(others, found, adjusted, strict=True)
        }
    out: dict[tuple[str, str], Cell] = {}
    for cell, number in numbers.items():
        part = where == number
        known = part & scored
        wrong, who = errors[part] > 0, codes[part]
        around, why = interval_or_reason(partial(clustered_rate, wrong, who, who, level))
        alike = (
            interval_or_reason(partial(clustered_mean, scores[known], codes[known], level))[0]
            if known.any()
            else None
        )
        out[cell] = Cell(
            *cell,
            float(wrong.mean()) if len(wrong) else None,
            around,
            why,
            float(scores[known].mean()) if known.any() else None,
            alike,
            int(wrong.sum()),
            len(wrong),
            len(np.unique(who)),
            changes["rate"].get(cell),
            changes["similarity"].get(cell),
        )
    return out


def _impostor(
    numbers: Mapping[tuple[str, str], int],
    base: tuple[str, str],
    where: I64,
    hit: Bool,
    left: I64,
    right: I64,
    levels: tuple[float, float],
) -> dict[tuple[str, str], Cell]:
    level = levels[0]
    reference = where == numbers[base]
    changes: dict[tuple[str, str], Change] = {}
    out: dict[tuple[str, str], Cell] = {}
    for cell, number in numbers.items():
        part = where == number
        around, why = interval_or_reason(partial(clustered_rate, hit[part], left[part], right[part], level))
        if cell != base and part.any() and reference.any():
            changes[cell] = rate_change(hit, reference, part, left, right, levels[1])[2]
        people = len(np.unique(np.concatenate([left[part], right[part]])))
        out[cell] = Cell(
            *cell,
            float(hit[part].mean()) if part.any() else None,
            around,
            why,
            None,
            None,
            int(hit[part].sum()),
            int(part.sum()),
            people,
        )
    adjusted = holm([c.p for c in changes.values()]) if changes else np.empty(0)
    for (cell, change), p in zip(changes.items(), adjusted, strict=True):
        out[cell] = replace(out[cell], fmr_change=change, fmr_p_holm=float(p))
    return out


def _mirrored(cells: dict[tuple[str, str], Cell]) -> dict[tuple[str, str], Cell]:
    """Both orders of every cell; the mirrored one is the same object, so that it is tested and found once."""
    return cells | {(b, a): cell for (a, b), cell in cells.items() if a != b}
