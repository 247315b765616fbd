"""A cut on quality, chosen on half of the people and judged on the other: FNMR gained, pictures lost, and by whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fraudit.errors import InsufficientData
from fraudit.stats.discard import AREA_UP_TO, Unknown, cut_at, pair_quality
from fraudit.stats.fairness import difference_p_value, holm
from fraudit.stats.rate_changes import Change, rate_change
from fraudit.stats.rates import GroupRate, genuine_sums, group_rate, group_rates
from fraudit.types import I64, Bool


def choose_cut(
    quality: ArrayLike,
    errors: ArrayLike,
    left: I64,
    right: I64,
    held: Bool,
    *,
    most: float = AREA_UP_TO,
    unknown: Unknown = "apart",
) -> float | None:
    """The cut at which most more of the FNMR than of the pictures is gone, chosen on bool[N] `held` pictures.

    The share with the largest FNMR removed (relative to no discard) less share of pictures discarded, of 1, 2 .. 20 %
    (`most`); None where no share removes more of the FNMR than pictures, or none errs.
    """
    use = held[left] & held[right]
    q = np.asarray(quality, np.float64)
    q = np.where(np.isnan(q), -np.inf, q) if unknown == "worst" else q
    lower, e = pair_quality(q, left, right)[use], np.asarray(errors, bool)[use]
    known = ~np.isnan(lower)
    lower, e = lower[known], e[known]
    base = q[held & ~np.isnan(q)]
    if not len(e) or not e.any() or not len(base):
        return None
    best, chosen = 0.0, None
    for share in np.arange(1, round(100 * most) + 1) / 100:
        cut = cut_at(base, float(share))
        keep = lower >= cut
        if not keep.any():
            break
        value = 1 - float(e[keep].mean() / e.mean()) - float((base < cut).mean())
        if value > best + 1e-12:
            best, chosen = value, cut
    return chosen


@dataclass(frozen=True, slots=True)
class JudgedCut:
    """What a cut does to people it was not chosen on.

    Attributes:
        cut: lowest quality kept. discarded: share of pictures lost, with its interval.
        pairs, pairs_left: genuine pairs before and after.
        before, after: FNMR. change: after less before, paired by people.
        unknown: pictures without a quality (never silently kept: they count in `discarded` where they are worst,
            else they and their pairs stay out).
        groups: label name -> discard rate of each group with interval. p_holm: (label name, group) -> of the same rate
            as everybody else, corrected over all groups of all labels.
    """

    cut: float
    discarded: GroupRate
    pairs: int
    pairs_left: int
    before: float
    after: float
    change: Change
    unknown: int
    groups: Mapping[str, tuple[GroupRate, ...]]
    p_holm: Mapping[tuple[str, str], float]


def judge_cut(
    cut: float,
    quality: ArrayLike,
    errors: ArrayLike,
    left: I64,
    right: I64,
    subjects: I64,
    judged: Bool,
    *,
    labels: Mapping[str, ArrayLike] | None = None,
    unknown: Unknown = "apart",
    level: float = 0.95,
) -> JudgedCut:
    """FNMR gained against pictures lost at `cut`, and who loses them, on the pictures bool[N] `judged`.

    Args:
        labels: name -> N groups ('' unknown).
    Raises:
        InsufficientData: no picture of known quality, or no genuine pair before or after.
    """
    q = np.asarray(quality, np.float64)
    absent = int(np.isnan(q[judged]).sum())
    q = np.where(np.isnan(q), -np.inf, q) if unknown == "worst" else q
    lower = pair_quality(q, left, right)
    use = judged[left] & judged[right] & ~np.isnan(lower)
    here = judged & ~np.isnan(q)
    if not here.any() or not (use & (lower >= cut)).any():
        raise InsufficientData("no judged genuine pair of known quality is left at this cut")
    e, who = np.asarray(errors, bool)[use], subjects[left[use]]
    before, after, change = rate_change(e, np.ones(len(e), bool), lower[use] >= cut, who, who, level)
    gone = q[here] < cut
    people = subjects[here]
    groups: dict[str, tuple[GroupRate, ...]] = {}
    tests: dict[tuple[str, str], float] = {}
    for name, raw in (labels or {}).items():
        words = np.asarray(raw).astype(str)[here]
        known = [str(w) for w in np.unique(words) if w != ""]
        groups[name] = group_rates(
            [genuine_sums(w, gone[words == w], people[words == w]) for w in known], level
        )
        for w in known if len(known) > 2 else known[1:]:
            rest = (words != w) & (words != "")
            if rest.any():
                pair = group_rates(
                    [genuine_sums(n, gone[m], people[m]) for n, m in ((w, words == w), ("others", rest))],
                    level,
                )
                tests[name, w] = difference_p_value(*pair)
    adjusted = holm(list(tests.values())) if tests else np.empty(0)
    return JudgedCut(
        cut,
        group_rate("all", gone, people, people, level),
        len(e),
        int((lower[use] >= cut).sum()),
        before,
        after,
        change,
        absent,
        groups,
        {k: float(p) for k, p in zip(tests, adjusted, strict=True)},
    )
