"""Does throwing out bad pictures help: the error-versus-discard characteristic, and a cut judged on other people.

The quality of a pair is the lower one of its two pictures (Grother and Tabassi, IEEE TPAMI 29(4), 2007; ISO/IEC
29794-1; NIST FATE Quality). At one fixed threshold the FNMR of the pairs that are left is a function of the share of
worst pictures (or of worst pairs) that are discarded; its partial area is its mean from no discard to 20 %.

The null is a quality that knows nothing: drawn at random, every pair is equally likely to stay, so that the expected
FNMR is that of all pairs at every share. Area and gain are therefore read against a flat line, in closed form.

Larger quality is better throughout; `orient` turns measures of known direction and says so, and finds no direction out.
Pictures of equal quality are discarded together: a share that would cut through them is rounded down, so that a measure
of few values is not credited for an order it does not give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fraudit.errors import InsufficientData, UsageError
from fraudit.stats.fairness import holm
from fraudit.stats.intervals import PairClusters, clustered_rate, interval_or_reason
from fraudit.stats.rate_changes import Change, influence_change, rate_influence
from fraudit.types import F64, I64, Bool, Interval

AREA_UP_TO = 0.20
SHARES: tuple[float, ...] = tuple(k / 100 for k in range(21))
By = Literal["pictures", "pairs"]
Unknown = Literal["apart", "worst"]
Direction = Literal["higher", "lower", "middle", "nearest zero"]

# What is better, of measures that are known by name; the name before a full stop decides (`sharpness.face`).
DIRECTIONS: Mapping[str, Direction] = {
    "brightness": "middle", "luminancemean": "middle", "yaw": "nearest zero", "pitch": "nearest zero",
    "roll": "nearest zero", "pose": "nearest zero", "blur": "lower", "occlusion": "lower", "age": "middle",
}  # fmt: skip
_WORDS = {
    "higher": "higher is better",
    "lower": "lower is better",
    "middle": "nearer to the median is better",
    "nearest zero": "nearer to 0 is better",
}


def orient(name: str, values: ArrayLike, direction: Direction | None = None) -> tuple[F64, str]:
    """(f64[N] values of which larger are better, the direction in words). Nothing is learnt from errors.

    Args:
        name: looked up in `DIRECTIONS` where no direction is given; 0 to 100 scales (`.scalar`) and unknown names are
            taken as they are: higher is better.
        values: f64[N], NaN where unknown (stays NaN).
    """
    v = np.asarray(values, np.float64)
    chosen = direction
    if chosen is None:
        chosen = "higher" if name.endswith(".scalar") else DIRECTIONS.get(_plain(name), "higher")
    if chosen == "middle":
        v = -np.abs(v - np.nanmedian(v)) if np.isfinite(v).any() else v
    elif chosen == "nearest zero":
        v = -np.abs(v)
    elif chosen == "lower":
        v = -v
    return np.asarray(v, np.float64), _WORDS[chosen]


def _plain(name: str) -> str:
    return "".join(c for c in name.split(".")[0].casefold() if c.isalnum())


def pair_quality(quality: ArrayLike, left: I64, right: I64) -> F64:
    """f64[P]: the lower quality of both pictures; NaN where one of them is unknown."""
    q = np.asarray(quality, np.float64)
    return np.asarray(np.minimum(q[left], q[right]), np.float64)


def cut_at(quality: ArrayLike, share: float) -> float:
    """The lowest quality that stays where at most `share` of f64[N] known qualities are discarded (quality < cut).

    Raises:
        InsufficientData: no quality is known. UsageError: a share outside [0, 1).
    """
    q = np.asarray(quality, np.float64)
    q = np.sort(q[~np.isnan(q)])
    if not 0 <= share < 1:
        raise UsageError(f"a share of pictures to discard lies in [0, 1); found {share:g}")
    if not len(q):
        raise InsufficientData("no picture of a pair has a known quality")
    return float(q[int(np.floor(share * len(q) + 1e-9))])


@dataclass(frozen=True, slots=True)
class DiscardCurve:
    """FNMR against the share of worst pictures (or pairs) discarded.

    Attributes:
        shares: f64[K], asked for. discarded: f64[K], reached (ties go together). cuts: f64[K], lowest quality kept.
        fnmr: f64[K]; NaN where no pair is left. errors, pairs: i64[K], that are left.
        intervals: K, of the FNMR, None with the reason in `reasons`.
        area: mean FNMR over the shares up to `AREA_UP_TO`.
        gain: FNMR of all pairs less the area: 0 for a random quality, above 0 where discarding helps.
        pictures: in pairs, of known quality. unknown: pictures without a quality; `unknown_pairs`, pairs left out
            for it (0 where they count as worst). unknown_fnmr: FNMR of those pairs, None without any.
        by: what is counted on the axis. influence: f64[P used], of the area; `used` bool[P], which pairs.
    """

    shares: F64
    discarded: F64
    cuts: F64
    fnmr: F64
    errors: I64
    pairs: I64
    intervals: tuple[Interval | None, ...]
    reasons: tuple[str, ...]
    area: float
    gain: Change
    pictures: int
    unknown: int
    unknown_pairs: int
    unknown_fnmr: float | None
    by: By
    influence: F64
    used: Bool


def discard_curve(
    quality: ArrayLike,
    errors: ArrayLike,
    left: I64,
    right: I64,
    subjects: I64,
    *,
    shares: Sequence[float] = SHARES,
    by: By = "pictures",
    unknown: Unknown = "apart",
    level: float = 0.95,
    only: Bool | None = None,
) -> DiscardCurve:
    """The error-versus-discard characteristic of one quality at one fixed threshold.

    Args:
        quality: f64[N], larger is better, NaN unknown. errors: bool[P], genuine pairs that do not match.
        left, right: i64[P], pictures. subjects: i64[N].
        shares: rising, in [0, 1), the first one 0. by: discard pictures (and all their pairs), or pairs.
        unknown: pairs with an unknown quality stay out of the curve ("apart") or are discarded first ("worst", as a
            picture that a quality algorithm failed on). Both are counted.
        only: bool[P], pairs to use; all by default.
    Raises:
        InsufficientData: no pair of known quality. UsageError: shares that do not rise from 0.
    """
    asked = np.asarray(shares, np.float64)
    if not len(asked) or asked[0] != 0 or (np.diff(asked) <= 0).any() or asked[-1] >= 1:
        raise UsageError("shares to discard begin with 0, rise and stay below 1")
    e, q = np.asarray(errors, bool), np.asarray(quality, np.float64)
    lower = pair_quality(q, left, right)
    wanted = np.ones(len(e), bool) if only is None else np.asarray(only, bool)
    missing = np.isnan(lower) & wanted
    unknown_fnmr = float(e[missing].mean()) if missing.any() else None
    shown = np.unique(np.concatenate([left[wanted], right[wanted]]))
    absent = int(np.isnan(q[shown]).sum())
    if unknown == "worst":
        q = np.where(np.isnan(q), -np.inf, q)
        lower = pair_quality(q, left, right)
        missing = np.zeros(len(e), bool)
    used = wanted & ~np.isnan(lower)
    if not used.any():
        raise InsufficientData(
            f"none of {int(wanted.sum()):,} genuine pairs has a known quality at both pictures"
        )
    a, b, lower, e = left[used], right[used], lower[used], e[used]
    who = subjects[a]
    base = q[np.unique(np.concatenate([a, b]))] if by == "pictures" else lower
    clusters = PairClusters(who, who)
    cuts = np.array([cut_at(base, s) for s in asked])
    influence, rates, counts = np.zeros(len(e)), [], []
    intervals: list[Interval | None] = []
    reasons: list[str] = []
    in_area = asked <= AREA_UP_TO + 1e-9
    weights = _trapezes(asked[in_area])
    weights = np.append(weights, np.zeros(len(asked) - len(weights)))
    first = np.zeros(len(e))
    for k, cut in enumerate(cuts):
        keep = lower >= cut
        counts.append((int(e[keep].sum()), int(keep.sum())))
        if not keep.any():
            rates.append(np.nan)
            intervals.append(None)
            reasons.append("no pair is left")
            continue
        rate, part = rate_influence(e, keep)
        rates.append(rate)
        influence += weights[k] * part
        first = part if k == 0 else first
        around, why = interval_or_reason(partial(clustered_rate, e[keep], who[keep], who[keep], level))
        intervals.append(around)
        reasons.append(why)
    fnmr = np.array(rates)
    usable = weights * np.isfinite(fnmr)
    area = float(np.nansum(usable * fnmr) / usable.sum())
    influence = influence / usable.sum()
    gain = influence_change(fnmr[0] - area, first - influence, who, who, level, clusters=clusters)
    tally = np.array(counts, np.int64)
    below = np.array([float((base < cut).mean()) for cut in cuts])
    return DiscardCurve(
        asked,
        below,
        cuts,
        fnmr,
        tally[:, 0],
        tally[:, 1],
        tuple(intervals),
        tuple(reasons),
        area,
        gain,
        len(np.unique(np.concatenate([a, b]))),
        absent,
        int(missing.sum()),
        unknown_fnmr,
        by,
        influence,
        used,
    )


def _trapezes(x: F64) -> F64:
    """f64[K] weights of the mean of a function over [x_0, x_K-1] by the trapezoidal rule; 1 for a single point."""
    if len(x) == 1:
        return np.ones(1)
    step = np.diff(x)
    return np.asarray((np.append(step, 0) + np.insert(step, 0, 0)) / 2 / (x[-1] - x[0]), np.float64)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Areas of two measures on the pairs that both know, second minus first: below 0 the second is better.

    Attributes:
        first, second: names. change: of the areas. p_holm: corrected over all pairs of measures.
    """

    first: str
    second: str
    change: Change
    p_holm: float


@dataclass(frozen=True, slots=True)
class Measures:
    """Every measure's curve, whether it beats a random quality, and every two compared.

    Attributes:
        curves: name -> curve. skipped: name -> why there is none. p_holm: name -> of no gain, corrected.
        comparisons: of every two measures, on the pairs that both know.
        best: the measure that beats chance and every other one beyond doubt, or ''.
    """

    curves: Mapping[str, DiscardCurve]
    skipped: Mapping[str, str]
    p_holm: Mapping[str, float]
    comparisons: tuple[Comparison, ...]
    best: str


def compare_measures(
    qualities: Mapping[str, ArrayLike],
    errors: ArrayLike,
    left: I64,
    right: I64,
    subjects: I64,
    *,
    shares: Sequence[float] = SHARES,
    by: By = "pictures",
    unknown: Unknown = "apart",
    level: float = 0.95,
    family: float = 0.05,
) -> Measures:
    """Curves of all measures f64[N] (`discard_curve`), tested together.

    Args:
        family: share of cases in which, with nothing to find, a gain or a best measure may be named: gains are
            corrected by Holm at `family`, and so are the comparisons.
    """
    curves: dict[str, DiscardCurve] = {}
    skipped: dict[str, str] = {}
    for name, quality in qualities.items():
        try:
            curves[name] = discard_curve(
                quality, errors, left, right, subjects, shares=shares, by=by, unknown=unknown, level=level
            )
        except InsufficientData as error:
            skipped[name] = error.message
    names = list(curves)
    adjusted = holm([curves[n].gain.p for n in names]) if names else np.empty(0)
    gains = {n: float(p) for n, p in zip(names, adjusted, strict=True)}
    found: list[tuple[str, str, Change]] = []
    for i, one in enumerate(names):
        for two in names[i + 1 :]:
            common = curves[one].used & curves[two].used
            if not common.any():
                continue
            parts = []
            for name in (one, two):
                curve = curves[name]
                if (common != curve.used).any():
                    curve = discard_curve(
                        qualities[name],
                        errors,
                        left,
                        right,
                        subjects,
                        shares=shares,
                        by=by,
                        unknown=unknown,
                        level=level,
                        only=common,
                    )
                parts.append(curve)
            who = subjects[left[common]]
            away = parts[1].influence - parts[0].influence
            found.append((one, two, influence_change(parts[1].area - parts[0].area, away, who, who, level)))
    corrected = holm([c.p for _, _, c in found]) if found else np.empty(0)
    comparisons = tuple(Comparison(*row, float(p)) for row, p in zip(found, corrected, strict=True))
    return Measures(curves, skipped, gains, comparisons, _best(curves, gains, comparisons, family))


def _best(
    curves: Mapping[str, DiscardCurve],
    gains: Mapping[str, float],
    comparisons: Sequence[Comparison],
    family: float,
) -> str:
    for name, curve in curves.items():
        if curve.gain.value <= 0 or gains[name] > family:
            continue
        wins = sum(
            c.p_holm <= family and (c.change.value < 0 if c.second == name else c.change.value > 0)
            for c in comparisons
            if name in (c.first, c.second)
        )
        if wins == len(curves) - 1:
            return name
    return ""
