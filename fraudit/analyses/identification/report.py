"""The identification analysis as metrics, tables and findings; computes no rate."""

from __future__ import annotations

from collections.abc import Iterator

from fraudit.analyses.identification.measure import Enrolment, Found, GroupRates, Growth, Target
from fraudit.analyses.identification.params import NAME, Params
from fraudit.analyses.shared.words import slug
from fraudit.formatting import fmr_words, one_in, percent, points, probability
from fraudit.formatting import interval as interval_words
from fraudit.stats.family import LATER_LEVEL
from fraudit.stats.search_rates import SearchRate
from fraudit.types import Better, Finding, Interval, Metric, Severity

FNIR_HIGH, FNIR_MEDIUM, FNIR_LOW, FNIR_GOOD = 0.10, 0.02, 0.005, 0.02
FPIR_HIGH, FPIR_MEDIUM = 3.0, 1.5
HUB_FACTOR = 2.0
RULE_WORDS = {
    "mean": "mean of unit vectors",
    "best": "best score",
    "quality": "mean weighted by vector length",
}
METHOD = (
    "Half of the people choose the thresholds, the other half are judged; on each half a part is enrolled and the "
    "others are searched for in vain (ISO/IEC 19795-1: non-mated searches are of people who are not enrolled). FPIR: "
    "share of non-mated searches that return anybody at or above the threshold. FNIR: share of mated searches whose "
    "mate is not first, or below it. Intervals draw searchers and enrolled people anew and hold the threshold's "
    "uncertainty. A face without a vector returns nobody. Smaller galleries are exact means over all of them; "
    "larger ones follow a model in which people differ, fitted on a quarter and tested on the whole."
)


def rate_words(found: SearchRate, unit: str = "searches") -> str:
    """`2.1 % (95 % interval 1.4 to 3.0 %; 1,204 searches of 60 people)`."""
    bounds = found.interval
    words = (
        f"95 % interval {interval_words(bounds.low, bounds.high, as_percent=True)}; "
        if bounds
        else "no interval; "
    )
    return f"{percent(found.value)} ({words}{found.n:,} {unit} of {found.people:,} people)"


def _metric(name: str, found: SearchRate, label: str, better: Better = "lower", group: str = "") -> Metric:
    return Metric(
        f"{NAME}.{name}",
        found.value,
        n=found.n,
        n_unit="searches",
        interval=found.interval,
        group=group,
        interval_missing="" if found.interval else found.missing,
        better=better,
        label=label,
    )


def unresolved(target: Target) -> str:
    """Why a target has no figure."""
    r = target.chosen.resolution
    return (
        f"not resolvable: FPIR {fmr_words(target.chosen.target)} needs {r.needed:,} searches of people who are not "
        f"enrolled, there are {r.n:,}"
    )


def metrics(found: Found, params: Params) -> Iterator[Metric]:
    """Every figure by its stable name."""
    for t in found.targets:
        at = fmr_words(t.chosen.target)
        if not t.resolved:
            for kind, words in (("fnir", "FNIR, rank 1,"), ("fpir", "FPIR reached")):
                yield Metric(
                    f"{NAME}.{kind}@fpir={at}",
                    None,
                    missing=unresolved(t),
                    better="lower",
                    label=f"{words} at FPIR {at}",
                )
            continue
        yield _metric(f"fnir@fpir={at}", t.fnir, f"FNIR, rank 1, at FPIR {at}")
        yield _metric(f"fpir@fpir={at}", t.fpir, f"FPIR reached at the threshold for {at}")
        low, high = t.chosen.low, t.chosen.high
        yield Metric(
            f"{NAME}.threshold@fpir={at}",
            t.chosen.value,
            n=t.chosen.resolution.n,
            n_unit="searches",
            interval=Interval(low, high, method="ends of the FPIR's interval on the calibration half")
            if low is not None and high is not None
            else None,
            interval_missing=t.chosen.missing,
            label=f"threshold for FPIR {at}",
        )
    for rank, rate in found.ranks:
        hit = _metric(
            f"cmc.rank={rank}", complement(rate), f"mate within rank {rank}, no threshold", "higher"
        )
        yield hit
    yield Metric(
        f"{NAME}.enrolled",
        float(found.plan.people[1]),
        n=int(found.plan.people[1]),
        n_unit="people",
        interval_missing="a count of this audit",
        label="people enrolled on the judged half",
    )
    for g in found.growth:
        yield from _growth_metrics(g, params)
    if found.hubs is not None:
        h = found.hubs
        yield Metric(
            f"{NAME}.hub_share",
            h.held_out if h.held_out is not None else h.share,
            n=h.total,
            n_unit="false positives",
            interval=h.interval,
            interval_missing=h.missing,
            better="lower",
            label="false positives that the 1 % of enrolled people take who took most with other searchers",
        )
    for groups in found.groups:
        for kind, rates in (("fpir", groups.fpir), ("fnir", groups.fnir)):
            for name, rate in rates.items():
                yield _metric(
                    f"{slug(groups.attribute)}.{kind}",
                    rate,
                    f"{kind.upper()} of searchers, {groups.attribute}",
                    group=name,
                )
    yield from _official_metrics(found)
    for e in found.enrolments:
        key = f"enrolment.{e.rule}.{e.pictures}"
        yield _metric(f"{key}.fnir", e.fnir, f"FNIR with {rule_words(e)}")


def _official_metrics(found: Found) -> Iterator[Metric]:
    for o in found.official:
        for rank, rate in o.ranks:
            yield _metric(
                f"{slug(o.gallery)}.cmc.rank={rank}",
                complement(rate),
                f"gallery {o.gallery}: mate within rank {rank}",
                "higher",
            )
        for target, _, rate in o.tpir:
            at = fmr_words(target)
            words = f"gallery {o.gallery}: TPIR at FPIR {at}, threshold chosen on the same searches"
            yield _metric(f"{slug(o.gallery)}.tpir@fpir={at}", complement(rate), words, "higher")


def complement(rate: SearchRate) -> SearchRate:
    """1 minus a rate, its interval turned round."""
    i = rate.interval
    flipped = Interval(1 - i.high, 1 - i.low, i.level, i.method) if i else None
    return SearchRate(
        1 - rate.value,
        rate.n - rate.errors,
        rate.n,
        rate.people,
        rate.enrolled,
        flipped,
        rate.missing,
        rate.n_eff,
    )


def _growth_metrics(g: Growth, params: Params) -> Iterator[Metric]:
    name, words = (
        f"{NAME}.{g.kind}.back_test",
        f"{g.kind.upper()} predicted for all enrolled from a quarter of them",
    )
    if g.test is None:
        yield Metric(name, None, missing=g.reason, label=words)
    else:
        t = g.test
        yield Metric(name, t.predicted, n=t.people, n_unit="people", interval=t.interval, label=words)
    if params.people:
        name, words = (
            f"{NAME}.{g.kind}@people={params.people}",
            f"{g.kind.upper()} with {params.people:,} people enrolled",
        )
        if g.further is None:
            yield Metric(name, None, missing=g.refused, label=words, better="lower")
        else:
            f = g.further
            yield Metric(
                name,
                f.value,
                n=f.test.people,
                n_unit="people",
                interval=f.interval,
                label=words,
                better="lower",
            )


def rule_words(e: Enrolment) -> str:
    """An enrolment rule in words."""
    pictures = "1 picture" if e.pictures == 1 else f"up to {e.pictures} pictures"
    return pictures if e.pictures == 1 else f"{pictures}, {RULE_WORDS[e.rule]}"


def _enrol(e: Enrolment) -> str:
    """What to do by a rule."""
    pictures, _, rule = rule_words(e).partition(", ")
    return f"Enrol {pictures} of each person{f', and keep the {rule}' if rule else ''}."


def findings(found: Found, params: Params) -> list[Finding]:
    """The headline first; severities by the rules of docs/severity.md."""
    out: list[Finding] = []
    enrolled = int(found.plan.people[1])
    if found.main is None:
        rule = f"{NAME}.unresolved"
        reasons = {unresolved(t) if not t.resolved else t.fnir.missing for t in found.targets}
        out.append(
            Finding(
                "info",
                f"No FPIR target can be judged among {enrolled} enrolled people: {min(reasons)}.",
                (),
                rule,
            )
        )
        return out
    enrolment = _enrolment(found)
    out.append(_fnir(found.main, enrolled, enrolment.advice if enrolment else ""))
    transfer = _transfer(found.main)
    out += [transfer] if transfer else []
    smallest = next((t for t in found.targets if not t.resolved), None)
    if smallest is not None:
        text = unresolved(smallest)
        out.append(
            Finding(
                "info",
                f"{text[0].upper()}{text[1:]}.",
                (f"{NAME}.fnir@fpir={fmr_words(smallest.chosen.target)}",),
                f"{NAME}.unresolved",
            )
        )
    out += [f for g in found.growth if (f := _growth(g, params))]
    out += [f for f in (_hub(found), enrolment) if f]
    out += [f for g in found.groups for f in _entries(g, len(found.groups))]
    return out


def answer(found: Found) -> str:
    """The section in plain words."""
    t = found.main
    if t is None or t.fnir.interval is None:
        return "Not known: too few people to judge how often a search misses the right one."
    i = t.fnir.interval
    return (
        f"Among {int(found.plan.people[1]):,} enrolled people a search misses the right one in "
        f"{percent(t.fnir.value)} of cases (between {interval_words(i.low, i.high, as_percent=True)}), where "
        f"{one_in(t.chosen.target)} searches for a stranger may raise an alarm."
    ).replace(" to ", " and ", 1)


def _fnir(t: Target, enrolled: int, advice: str = "") -> Finding:
    at, i = fmr_words(t.chosen.target), t.fnir.interval
    assert i is not None
    severity: Severity = "info"
    floors: tuple[tuple[Severity, float], ...] = (
        ("high", FNIR_HIGH),
        ("medium", FNIR_MEDIUM),
        ("low", FNIR_LOW),
    )
    for level, bound in floors:
        if i.low >= bound:
            severity = level
            break
    else:
        severity = "good" if i.high <= FNIR_GOOD else "info"
    text = (
        f"Searched for among {enrolled:,} enrolled people, the right one is not returned first in {rate_words(t.fnir)} "
        f"at FPIR {at}."
    )
    return Finding(severity, text, (f"{NAME}.fnir@fpir={at}",), f"{NAME}.fnir", advice)


def _transfer(t: Target) -> Finding | None:
    i, target = t.fpir.interval, t.chosen.target
    if i is None or i.low < FPIR_MEDIUM * target:
        return None
    return Finding(
        "high" if i.low >= FPIR_HIGH * target else "medium",
        f"The threshold chosen for FPIR {fmr_words(target)} reaches {rate_words(t.fpir)} on people it was not chosen "
        "on.",
        (f"{NAME}.fpir@fpir={fmr_words(target)}",),
        f"{NAME}.fpir_transfer",
        "Raise the threshold, or expect this many false alarms.",
    )


def _growth(g: Growth, params: Params) -> Finding | None:
    kind = g.kind.upper()
    if params.people and g.further is not None:
        f = g.further
        bounds = interval_words(f.interval.low, f.interval.high, as_percent=True)
        return Finding(
            "info",
            f"With {f.people:,} people enrolled, {kind} is expected to be {percent(f.value)} ({bounds}) at the "
            f"threshold that gave FPIR {fmr_words(g.target)} on the other half. The model was fitted on "
            f"{f.test.fitted:,.0f} people and predicted {percent(f.test.predicted)} for {f.test.people:,}; "
            f"{percent(f.test.measured)} was measured.",
            (f"{NAME}.{g.kind}@people={params.people}", f"{NAME}.{g.kind}.back_test"),
            f"{NAME}.growth",
        )
    if params.people and g.refused:
        return Finding(
            "info",
            f"{kind} with {params.people:,} people enrolled is not told: {g.refused}.",
            (),
            f"{NAME}.growth_refused",
        )
    return None


def _hub(found: Found) -> Finding | None:
    h = found.hubs
    if h is None or h.held_out is None or h.interval is None or h.p_value > 2 * LATER_LEVEL:
        return None
    usual = h.worst / h.enrolled
    if h.interval.low < HUB_FACTOR * usual:
        return None
    bounds = interval_words(h.interval.low, h.interval.high, as_percent=True)
    return Finding(
        "info",
        f"The {percent(usual)} of enrolled people who take most false positives of half of the searchers take "
        f"{percent(h.held_out)} ({bounds}; {h.total:,} false positives in all) of the other half's; chance gives "
        f"{percent(usual)}.",
        (f"{NAME}.hub_share",),
        f"{NAME}.hubs",
    )


def _entries(g: GroupRates, families: int) -> Iterator[Finding]:
    if not g.entries:
        return
    tests = len(g.entries) * families
    worst = min(g.entries, key=lambda e: e.p_value)
    if worst.p_value * tests > 0.05 or worst.share <= worst.of_gallery or worst.interval is None:
        return
    bounds = interval_words(worst.interval.low, worst.interval.high, as_percent=True)
    yield Finding(
        "info",
        f"Enrolled people of the group '{worst.group}' ({g.attribute}) take {percent(worst.share)} ({bounds}) of the "
        f"false positives and are {percent(worst.of_gallery)} of the gallery ({probability(worst.p_value * tests)}, "
        f"{tests} tests).",
        (f"{NAME}.{slug(g.attribute)}.fpir",),
        f"{NAME}.entries",
    )


def _enrolment(found: Found) -> Finding | None:
    better = [e for e in found.enrolments if e.difference is not None and e.difference.fnir.interval.high < 0]
    if not better:
        return None
    best = min(better, key=lambda e: e.fnir.value)
    assert best.difference is not None
    d = best.difference.fnir
    size = interval_words(-100 * d.interval.high, -100 * d.interval.low, "points")
    rest = [
        e
        for e in better
        if e is not best and e.difference is not None and e.difference.fnir.interval.low <= d.value
    ]
    tail = f" Not told apart from it: {'; '.join(rule_words(e) for e in rest)}." if rest else ""
    usual = found.enrolments[0]
    return Finding(
        "info",
        f"Enrolling {rule_words(best)} in place of {rule_words(usual)} lowers FNIR by {points(-d.value)} ({size}, "
        f"for {best.tests} rules at once) to {percent(best.fnir.value)} at the same FPIR.{tail}",
        (f"{NAME}.enrolment.{best.rule}.{best.pictures}.fnir",),
        f"{NAME}.enrolment",
        _enrol(best),
    )


def caveats(found: Found, templates: bool) -> list[str]:
    """What limits the section."""
    fused = "A template is the mean of the model's vectors of each medium, summed over media (as IJB does)."
    out = [fused] if templates else []
    out += [
        f"{int(found.plan.people[1]):,} people are enrolled; rates hold for galleries of this size at this threshold, "
        "not for larger ones."
    ]
    idle = int((~found.plan.used).sum())
    if idle:
        out.append(f"{idle:,} pictures beyond the most of a person take no part.")
    for g in found.growth:
        if g.test is None:
            out.append(f"No model of {g.kind.upper()} against gallery size: {g.reason}.")
        elif not g.test.passed:
            out.append(
                f"The model of {g.kind.upper()} against gallery size fails its back-test; it predicts nothing here."
            )
    if found.hubs_reason:
        out.append(found.hubs_reason[0].upper() + found.hubs_reason[1:] + ".")
    return out
