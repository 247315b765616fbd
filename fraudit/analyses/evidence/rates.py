"""Error rates with and without what was flagged, of hard pairs, and who makes the errors."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fraudit.analyses.evidence.flags import Flags, or_reason
from fraudit.analyses.evidence.params import Params
from fraudit.analyses.shared.attributes import TIMES, demographic_groups
from fraudit.errors import InsufficientData
from fraudit.faces.attributes import require_attributes, spellings
from fraudit.stats.hard_pairs import (
    ByYears,
    HardFmr,
    fnmr_by_years,
    hard_fmr,
    nearest_strangers,
    years_between,
)
from fraudit.stats.pairs import pair_cosines
from fraudit.stats.worst_cases import (
    ErringPeople,
    Extremes,
    WithAndWithout,
    closest_strangers,
    people_with_most_errors,
    with_and_without,
    worst_genuine,
)
from fraudit.types import F64, I64, Bool, PairList

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.audit.thresholds import Threshold

MOST_HARD = 200_000
FAR = "pictures far from their person"


@dataclass(frozen=True, slots=True)
class SideBySide:
    """FNMR and FMR of the judged pairs with and without the pictures of one kind.

    `flagged`: they are likely not what they are said to be; else merely far from their person.
    """

    name: str
    fnmr: WithAndWithout
    fmr: WithAndWithout
    flagged: bool = True


@dataclass(frozen=True, slots=True)
class Rates:
    """Every figure, None or () with a reason in `missing[name]`.

    Attributes:
        threshold: that of the smallest resolved FMR target. sides: by kind of flags.
        hard: FMR of the strangers that the judge finds nearest; `within`: the groups they share, '' none.
        fmr: of judged strangers at random, (value, pairs). years: FNMR by years; `when`: by which attribute.
        worst: genuine pairs. strangers: closest pairs of two people. erring: who makes the genuine errors.
        erring_pairs: genuine pairs that it is counted over.
    """

    threshold: Threshold | None
    sides: tuple[SideBySide, ...] = ()
    hard: HardFmr | None = None
    within: str = ""
    fmr: tuple[float, int] | None = None
    years: ByYears | None = None
    when: str = ""
    worst: Extremes | None = None
    strangers: Extremes | None = None
    erring: ErringPeople | None = None
    erring_pairs: int = 0
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Scored:
    """Pairs and the scores f64[P] of them, NaN without a vector."""

    left: I64
    right: I64
    scores: F64


def _scored(context: AnalysisContext, pairs: PairList, same: bool) -> _Scored:
    answer = context.embeddings()
    left, right = pairs.left[pairs.same == same], pairs.right[pairs.same == same]
    return _Scored(left, right, pair_cosines(answer.unit(), left, right, answer.ok))


def chosen_threshold(context: AnalysisContext, params: Params) -> Threshold:
    """The threshold for the smallest FMR target that the calibration people resolve.

    Raises:
        InsufficientData: none is resolved, or it is not known who is another person.
    """
    for target in sorted(params.fmrs):
        found = context.threshold(target)
        if found.resolvable:
            return found
    raise InsufficientData(
        f"no FMR target is resolved: {max(params.fmrs):g} needs {3 / max(params.fmrs):,.0f} pairs of other people, "
        f"there are {found.n_impostor:,}"
    )


def measure_rates(context: AnalysisContext, params: Params, flags: Flags) -> Rates:
    """All error rates and lists of errors.

    Raises:
        UsageError: an attribute that the set does not have.
    """
    missing: dict[str, str] = {}

    def keep(name: str, make: Any) -> Any:
        found, why = or_reason(make)
        if why:
            missing[name] = why
        return found

    if params.when:
        require_attributes(context.faces, (params.when,))
    threshold = keep("threshold", lambda: chosen_threshold(context, params))
    pairs = keep("pairs", context.rate_pairs)
    strangers = keep("strangers", lambda: _strangers(context, params, pairs))
    worst = None
    if pairs is not None:
        genuine = _scored(context, pairs, True)
        worst = keep("worst", lambda: _worst(genuine, params))
    if threshold is None:
        return Rates(None, worst=worst, strangers=strangers, missing=missing)
    hard = keep("hard", lambda: _hard(context, params, threshold.value))
    if pairs is None:
        return Rates(threshold, hard=hard, strangers=strangers, missing=missing)
    subjects, judged = context.people(), context.judged_pairs()
    own, other = _scored(context, judged, True), _scored(context, judged, False)
    missed, matched = ~(own.scores >= threshold.value), other.scores >= threshold.value
    erring = None
    if flags.identified and len(genuine.left):
        wrong = ~(genuine.scores >= threshold.value)
        who = subjects[genuine.left]
        erring = keep(
            "erring",
            lambda: people_with_most_errors(wrong, who, who, count=params.listed, seed=context.seed),
        )
    years, when = None, ""
    found = keep("years", lambda: _years(context, params, own, missed))
    if found is not None:
        years, when = found
    return Rates(
        threshold,
        sides=_sides(flags, subjects, (own, missed), (other, matched)),
        hard=hard[0] if hard else None,
        within=hard[1] if hard else "",
        fmr=(float(matched.mean()), len(matched)) if len(matched) else None,
        years=years,
        when=when,
        worst=worst,
        strangers=strangers,
        erring=erring,
        erring_pairs=len(genuine.left),
        missing=missing,
    )


def _worst(genuine: _Scored, params: Params) -> Extremes:
    if not len(genuine.left):
        raise InsufficientData("no genuine pair")
    return worst_genuine(genuine.scores, genuine.left, genuine.right, params.listed)


def _strangers(context: AnalysisContext, params: Params, pairs: PairList | None) -> Extremes:
    """Of all pairs of two people; of the declared ones where nobody is identified."""
    if context.unknown_people:
        raise InsufficientData(context.unknown_people)
    answer = context.embeddings()
    if context.declared is None:
        return closest_strangers(answer.unit(), context.faces.subjects, answer.ok, count=params.listed)
    if pairs is None or pairs.same.all():
        raise InsufficientData("the set declares no pair of two people")
    other = _scored(context, pairs, False)
    found = worst_genuine(-other.scores, other.left, other.right, params.listed)
    return Extremes(found.left, found.right, -found.score, found.pairs, found.without)


def _both_sides(
    genuine: tuple[_Scored, Bool], impostor: tuple[_Scored, Bool], subjects: I64, out: Bool
) -> tuple[WithAndWithout, WithAndWithout]:
    (mates, misses), (others, matches) = genuine, impostor
    return (
        with_and_without(misses, mates.left, mates.right, subjects, out),
        with_and_without(matches, others.left, others.right, subjects, out),
    )


def _sides(
    flags: Flags, subjects: I64, genuine: tuple[_Scored, Bool], impostor: tuple[_Scored, Bool]
) -> tuple[SideBySide, ...]:
    """By kind of flags, by all of them where there are several kinds, and apart pictures far from their person."""
    kinds = {
        "likely wrong labels": flags.labels.flagged if flags.labels is not None else np.zeros(0, bool),
        "copies under another person": flags.across,
        "spare copies": flags.spare,
        "people likely named twice": flags.second_names,
    }
    kinds = {name: out for name, out in kinds.items() if out.any()}
    if len(kinds) > 1:
        kinds["all of these"] = np.logical_or.reduce(list(kinds.values()))
    if flags.labels is not None and (far := flags.labels.far & ~flags.labels.flagged).any():
        kinds[FAR] = far
    made = []
    for name, out in kinds.items():
        rates, _ = or_reason(partial(_both_sides, genuine, impostor, subjects, out))
        if rates is not None:
            made.append(SideBySide(name, *rates, flagged=name != FAR))
    return tuple(made)


def _hard(context: AnalysisContext, params: Params, threshold: float) -> tuple[HardFmr, str]:
    """FMR over the judged people's strangers that the first judge finds nearest, within groups where known."""
    if not context.judges:
        raise InsufficientData(
            "no independent judge was given (`--judge`): the model's own nearest are those it errs on"
        )
    if context.declared is not None:
        raise InsufficientData("only pairs that the set declares are known to be of two people")
    rows = np.flatnonzero(~context.calibration_mask())
    groups, within = None, ""
    found = demographic_groups(context.faces, params.by, intersections=True)
    if found:
        within = list(found)[-1] if " x " in list(found)[-1] else next(iter(found))
        groups = found[within][rows]
    judge, answer = context.embeddings(context.judges[0]), context.embeddings()
    subjects = context.faces.subjects[rows]
    left, right = nearest_strangers(
        judge.unit()[rows],
        subjects,
        judge.ok[rows],
        groups=groups,
        share=params.nearest,
        most=MOST_HARD,
        seed=context.seed,
    )
    return hard_fmr(answer.unit()[rows], subjects, left, right, threshold, answer.ok[rows]), within


def when_of(attributes: Any, wanted: str = "") -> tuple[str, F64]:
    """(attribute, f64[N] years, NaN unknown) of ages, years or dates such as 2004-05-01.

    Raises:
        InsufficientData: the set says of no picture when it was taken.
    """
    spelt = spellings(attributes)
    names = [wanted] if wanted else [spelt[name] for name in TIMES if name in spelt]
    for name in names:
        years = decimal_years(np.asarray(attributes[name]))
        if not np.isnan(years).all():
            return name, years
    what = (
        f"`{names[0]}` holds neither numbers nor dates" if names else "no attribute `date`, `year` or `age`"
    )
    raise InsufficientData(f"it is not known when pictures were taken: {what}")


def decimal_years(values: NDArray[Any]) -> F64:
    """f64[N] of numbers, or of texts that are numbers or begin with a date YYYY-MM-DD or YYYY-MM; else NaN."""
    if values.dtype.kind in "fiub":
        return values.astype(np.float64)
    return np.array([_decimal_year(str(v).strip()) for v in values], np.float64)


def _decimal_year(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        day = datetime.date.fromisoformat(text[:10] if len(text) != 7 else f"{text}-01")
    except ValueError:
        return float("nan")
    return day.year + (day.timetuple().tm_yday - 1) / 365.25


def _years(context: AnalysisContext, params: Params, own: _Scored, missed: Bool) -> tuple[ByYears, str]:
    name, years = when_of(context.faces.attributes, params.when)
    between = years_between(years, own.left, own.right)
    return fnmr_by_years(missed, between, context.people()[own.left]), name
