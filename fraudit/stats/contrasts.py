"""Two groups of faces, compared between people or within people, with each person weighing the same.

A label of people (male) is compared between people: the mean over people of one group less that of the other.
A label of pictures (glasses, light) is compared within people: the mean over people of what each differs from
him- or herself. Under no relation the first may be dealt to other people, the second may change sign in each
person; both tests are exact whatever the number of pictures (Good, Permutation Tests, 1994).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from fraudit.types import F64, I64, Bool

FOUND_LEVEL = 0.05  # of a direction that is not there, over all attributes
MOST_WORDS = 8
VARIES = 0.5  # of a label: pictures of one person differ at least this often, relative to pictures of two
FEWEST_BOTH = 6


@dataclass(frozen=True, slots=True)
class Contrast:
    """Two groups of faces.

    Attributes:
        name: unique, such as `smiling` or `race: asian`. attribute: it comes from. how: in words.
        high, low: bool[N]. within: whether each person is compared with him- or herself.
    """

    name: str
    attribute: str
    how: str
    high: Bool
    low: Bool
    within: bool = False


def contrasts(
    attributes: Mapping[str, NDArray[np.generic]], subjects: I64, least: int = 5
) -> tuple[list[Contrast], list[str]]:
    """(contrasts, why others were left out).

    Two groups are contrasted as they are; of three to eight words each against the others; of numbers the
    faces at or above the 90th with those at or below the 10th percentile. Within people where the label varies
    (`variation`) and `fewest_both` people have both; else between people, at least `least` in each group.
    """
    parts: list[Contrast] = []
    skipped: list[str] = []
    for name, raw in attributes.items():
        made, reason = _parts(name, np.asarray(raw))
        parts += made
        skipped += [reason] if reason else []
    fewest = fewest_both(len(parts))
    found: list[Contrast] = []
    for part in parts:
        varies = variation(part, subjects) >= VARIES
        inside = Contrast(part.name, part.attribute, part.how, part.high, part.low, within=True)
        both = len(person_rows(inside, subjects).people)
        people = person_rows(part, subjects).groups
        if varies and both >= fewest:
            found.append(inside)
        elif min(people) >= least:
            found.append(part)
        else:
            also = f" ({both} people with both, fewer than {fewest})" if varies else ""
            reason = f"{people[0]} and {people[1]} people, fewer than {least} in a group"
            skipped.append(f"{part.name}: {reason}{also}")
    return found, skipped


def _parts(name: str, array: NDArray[np.generic]) -> tuple[list[Contrast], str]:
    """(contrasts of one attribute, why there is none or '')."""
    if array.dtype.kind in "fiub":
        numbers = array.astype(np.float64)
        known = np.unique(numbers[np.isfinite(numbers)])
        if len(known) < 2:
            return [], f"{name} has one value alone"
        if len(known) == 2:
            how = f"{known[1]:g} minus {known[0]:g}"
            return [Contrast(name, name, how, numbers == known[1], numbers == known[0])], ""
        low, high = np.nanpercentile(numbers, [10, 90])
        how = f"at least {high:g} minus at most {low:g} (90th, 10th percentile)"
        return [Contrast(name, name, how, numbers >= high, numbers <= low)], ""
    words = np.array([str(v) for v in array])
    there = words != ""
    labels = sorted({str(w) for w in words[there]})
    if not 2 <= len(labels) <= MOST_WORDS:
        return [], f"{name} has {len(labels)} groups"
    other = labels[0] if len(labels) == 2 else "the others"
    return [
        Contrast(f"{name}: {label}", name, f"{label} minus {other}", words == label, there & (words != label))
        for label in (labels if len(labels) > 2 else labels[1:])
    ], ""


def fewest_both(tests: int) -> int:
    """People with both labels that a sign-flip test needs to reach `FOUND_LEVEL` after Holm over `tests`.

    Of 2^K flips of K people two are as extreme as the largest, so that the smallest p is 2^(1 - K).
    """
    return max(FEWEST_BOTH, 1 + int(np.ceil(np.log2(max(tests, 1) / FOUND_LEVEL))))


def _counts(contrast: Contrast, codes: I64, people: int) -> tuple[F64, F64]:
    """(f64[people] faces of each in the high group, in the low group)."""
    high, low = (np.bincount(codes[m], minlength=people).astype(float) for m in (contrast.high, contrast.low))
    return high, low


def variation(contrast: Contrast, subjects: I64) -> float:
    """How often two pictures of one person differ in the label, relative to pictures of two people.

    About 1 where the label is a picture's, 0 where it is a person's; each person counts once. 0 where nobody
    has two labelled pictures.
    """
    known, codes = np.unique(subjects, return_inverse=True)
    high, low = _counts(contrast, codes.ravel(), len(known))
    n = high + low
    several = n >= 2
    if not several.any():
        return 0.0
    own = float((2 * high * low / np.maximum(n * (n - 1), 1))[several].mean())
    share = (high / np.maximum(n, 1))[n > 0]
    two = 2 * (share.sum() * (1 - share).sum() - (share * (1 - share)).sum())
    strangers = two / max(len(share) * (len(share) - 1), 1)
    return own / float(strangers) if strangers > 0 else 0.0


@dataclass(frozen=True, slots=True)
class PersonRows:
    """How faces add up to one vector a person.

    Attributes:
        people: i64[K], subjects that take part. pick: f64[K,N] sparse, such that pick @ unit is, within people,
            each person's mean face of the high less that of the low group; between people the mean face.
        sides: f64[K], +1 and -1 for the high and the low group; all 1 within people.
        strata: i64[K], people of about as many pictures (1, 2, 3-4, 5-8, ..), whose labels may change places.
        within: as of the contrast. faces: that take part, in the high and the low group.
    """

    people: I64
    pick: csr_matrix
    sides: F64
    strata: I64
    within: bool
    faces: tuple[int, int]

    @property
    def groups(self) -> tuple[int, int]:
        """People in the high and the low group; the same ones within people."""
        high = int((self.sides > 0).sum())
        return high, high if self.within else len(self.sides) - high

    @property
    def weights(self) -> F64:
        """f64[K] w such that w @ (pick @ unit) is the difference of the two groups."""
        return _weights(self.sides, self.within)


def _weights(sides: F64, within: bool) -> F64:
    """f64[..,K] weights of people from their f64[..,K] sides or signs; every person of a group counts once."""
    if within:
        return np.asarray(sides / sides.shape[-1])
    high = (sides > 0).sum(axis=-1, keepdims=True)
    low = sides.shape[-1] - high
    return np.asarray(np.where(sides > 0, 1 / np.maximum(high, 1), -1 / np.maximum(low, 1)))


def person_rows(contrast: Contrast, subjects: I64) -> PersonRows:
    """Who takes part and how.

    Within people: who has faces in both groups. Between people: everybody stands on the side where most of his
    or her labelled faces are, with these faces alone; who has as many of both takes no part.
    """
    known, inverse = np.unique(subjects, return_inverse=True)
    codes = inverse.ravel()
    high, low = _counts(contrast, codes, len(known))
    if contrast.within:
        side = ((high > 0) & (low > 0)).astype(float)
        face = np.where(contrast.high, 1.0, -1.0) * (contrast.high | contrast.low)
    else:
        side = np.sign(high - low)
        face = ((contrast.high & (side[codes] > 0)) | (contrast.low & (side[codes] < 0))).astype(float)
    face = face * (side[codes] != 0)
    used = np.where(contrast.high, high[codes], low[codes])
    who = np.flatnonzero(side)
    place = np.full(len(known), -1)
    place[who] = np.arange(len(who))
    faces = np.flatnonzero(face)
    pick = csr_matrix(
        (face[faces] / used[faces], (place[codes[faces]], faces)), shape=(len(who), len(subjects))
    )
    mine = np.where(side > 0, high, low)[who]
    strata = np.ceil(np.log2(np.maximum(mine, 1))).astype(np.int64)
    count = (int(contrast.high[faces].sum()), int(contrast.low[faces].sum()))
    return PersonRows(known[who], pick, side[who], strata, contrast.within, count)


def null_weights(rows: PersonRows, draws: int, rng: np.random.Generator) -> tuple[F64, bool]:
    """(f64[draws,K] weights of people if the label had nothing to do with the faces, whether they are all).

    Within people each person's difference keeps or changes its sign; all patterns where they are at most
    `draws`. Between people labels change places within strata of people with about as many pictures.
    """
    k = len(rows.people)
    if rows.within:
        everything = k <= 40 and 2 ** (k - 1) <= draws
        signs = _all_signs(k) if everything else rng.choice([-1.0, 1.0], (draws, k))
        return _weights(signs, True), everything
    sides = np.repeat(rows.sides[None], draws, axis=0)
    for stratum in np.unique(rows.strata):
        at = np.flatnonzero(rows.strata == stratum)
        sides[:, at] = rng.permuted(sides[:, at].astype(np.int8), axis=1)
    return _weights(sides, False), False


def _all_signs(k: int) -> F64:
    """f64[2^(k-1),k] of +1 and -1: all patterns that leave the last sign, the first row changing none."""
    flips = (np.arange(2 ** (k - 1))[:, None] >> np.arange(k)) & 1
    return np.where(flips == 1, -1.0, 1.0)


def tail_share(null: F64, observed: float, everything: bool) -> float:
    """p: share of null statistics f64[draws] at least as large; the observed one counts among drawn ones."""
    beyond = int((null >= observed * (1 - 1e-5)).sum())  # rounding of float32 sums
    return beyond / len(null) if everything else (1 + beyond) / (len(null) + 1)
