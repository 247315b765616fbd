"""The bias section: findings, headline and caveats; computes no rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from fraudit.analyses.bias.figures import figures
from fraudit.analyses.bias.limits import HIGH, MEDIUM
from fraudit.analyses.bias.measure import Audit
from fraudit.analyses.bias.metrics import metrics, slug
from fraudit.analyses.bias.params import Params
from fraudit.analyses.bias.tables import tables
from fraudit.formatting import fmr_words, percent
from fraudit.stats.estimates import GroupEstimate
from fraudit.stats.fairness import Gap, GroupRate, Ratio, clearest_gap, detectable_ratio, holm
from fraudit.types import AnalysisResult, Finding, Interval, Severity, gravity

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.audit.thresholds import Threshold

WORDS = {"FMR": "false-match rate", "FNMR": "false non-match rate"}


def severity_of(low: float) -> Severity:
    """Rule `bias.ratio` of docs/severity.md."""
    return "high" if low >= HIGH else "medium" if low >= MEDIUM else "low"


def _short(value: float, digits: int = 2) -> str:
    """A ratio or its bound; one that is not 1 never reads `1`, which says that equal rates are not ruled out."""
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.{digits}g}"
    while text == "1" and abs(value - 1) >= 1e-4:
        digits += 1
        text = f"{value:.{digits}g}"
    return text


def _span(interval: Interval, digits: int = 2) -> str:
    return f"{_short(interval.low, digits)} to {_short(interval.high, digits)}"


def share_budget(audits: Sequence[Audit]) -> list[Audit]:
    """The audits with the p values of all their tests corrected together (Holm): one budget for the whole run."""
    adjusted = iter(holm([p for a in audits for *_, p in a.tests]))
    return [
        replace(a, tests=tuple((side, one, other, float(next(adjusted))) for side, one, other, _ in a.tests))
        for a in audits
    ]


def findings(params: Params, audits: Sequence[Audit]) -> list[Finding]:
    """One finding per attribute and side; a difference counts only where Holm's test and the interval agree.

    Args:
        audits: with corrected p values (`share_budget`).
    """
    found: list[Finding] = []
    first_step = params.level / max(
        1, sum(len(a.tests) for a in audits)
    )  # Holm's, which the clearest must pass
    for audit in audits:
        for side, rates in (("FMR", audit.fmr), ("FNMR", audit.fnmr_all or audit.fnmr)):
            if rates:
                found.append(_side_finding(params, audit, side, rates, first_step))
        if audit.rebuilt:
            found += _rebuilt_finding(params, audit)
    return found


def _side_finding(
    params: Params, audit: Audit, side: str, rates: tuple[GroupRate, ...], first_step: float
) -> Finding:
    evidence = (f"bias.{slug(audit.attribute)}.max_over_min_{side.lower()}",)
    if not any(r.errors for r in rates):
        text = (
            f"No {WORDS[side]} above 0 in any group of {audit.attribute} "
            f"({sum(r.n for r in rates):,} pairs): no ratio of rates can be given."
        )
        return Finding("info", text, evidence, "bias.no_errors")
    gap = clearest_gap(rates)
    if gap is None:
        few = next((r.missing for r in rates if r.missing), "no error in the groups that enough people carry")
        text = f"By {audit.attribute}, the {WORDS[side]} of groups cannot be compared: {few}."
        return Finding("info", text, evidence, "bias.too_few")
    used = [r for r in rates if not r.missing]
    left_out = [f"'{r.group}'" for r in rates if r.missing]
    p = min(
        (p for s, *ends, p in audit.tests if s == side and set(ends) == {gap.above.group, gap.below.group}),
        default=1.0,
    )
    scope = f"{len(used)} groups, p {_p(p)} after Holm over all groups, rates and attributes of the run"
    crossed = side == "FNMR" and audit.fnmr_all is not None
    scope += "; all people, each half at the other's threshold" if crossed else ""
    scope += f"; not compared for want of people: {_and(left_out)}" if left_out else ""
    if p < params.level and gap.low > 1:
        return Finding(
            severity_of(gap.low),
            f"By {audit.attribute}, {_gap_words(side, gap)}; {scope}).",
            evidence,
            "bias.ratio",
            _advice(params, audit, side, gap),
        )
    text = (
        f"By {audit.attribute}, no difference in the {WORDS[side]} could be shown: "
        f"{_ratio_words(used, audit.ratios[side])}; {_found_words(gap, first_step)}; "
        f"smallest group {min(r.subjects for r in used):,} people, {scope}."
    )
    return Finding("info", text, evidence, "bias.unresolved")


def _found_words(gap: Gap, level: float) -> str:
    """What the data can show at all: a reader must not take a small set for a fair model."""
    least = detectable_ratio(gap.above, gap.below, level)
    if least is None:
        return "no ratio of these groups is found in 80 % of sets of this size"
    return f"about {least:.2g} times and more is found in 80 % of sets of this size"


def _advice(params: Params, audit: Audit, side: str, gap: Gap) -> str:
    """What to do about a gap: where strangers match, the one threshold that suits the worst group too."""
    worst = gap.above.group
    if side == "FNMR":
        return (
            f"Look at the pictures of '{worst}' (quality, light, age of the picture), enrol more of each, and offer "
            "these people another way in until the gap is closed."
        )
    own = next((t for t in audit.thresholds if t.group == worst and t.resolvable), None)
    if own is None:
        return (
            f"Raise the one threshold until '{worst}' keeps the FMR; more people are needed to say how far."
        )
    return (
        f"Raise the one threshold to {own.value:.3f}, at which '{worst}' has FMR {fmr_words(params.fmr)}, and look "
        "above what that costs."
    )


def answer(audits: Sequence[Audit], told: Sequence[Finding]) -> str:
    """The section in plain words."""
    gaps = [f for f in told if f.rule == "bias.ratio"]
    by = _and(list(dict.fromkeys(a.attribute for a in audits))) if audits else ""
    if gaps:
        return f"No: {gaps[0].text.split(' (')[0]}."
    open_ = [f for f in told if f.rule == "bias.unresolved"]
    if not open_:
        return f"Not known: the groups {f'of {by} ' if by else ''}could not be compared."
    smallest = min((n for a in audits for n in (a.people[r.group] for r in a.fmr)), default=0)
    more = any(f.rule == "bias.reconstruction" for f in told)
    tail = " An inverter rebuilds some groups less well." if more else ""
    return (
        f"No difference was shown between the groups of {by}. The smallest has {smallest:,} people, so that a real one "
        f"may have been missed.{tail}"
    )


def _share(rate: GroupRate) -> str:
    return f"{percent(rate.rate)} of {rate.n:,} pairs" if rate.errors else f"none of {rate.n:,} pairs"


def _gap_words(side: str, gap: Gap) -> str:
    """`the false-match rate of 'b' is 2.1 times that of 'a' (...`, the bracket left open."""
    start = f"the {WORDS[side]} of '{gap.above.group}' is"
    rates = f"{_share(gap.above)} against {_share(gap.below)}"
    if gap.below.errors == 0 or gap.high is None:
        return (
            f"{start} at least {_short(gap.low)} times that of '{gap.below.group}' (95 % confidence; {rates}"
        )
    value = gap.above.rate / gap.below.rate
    return (
        f"{start} {value:.3g} times that of '{gap.below.group}' (95 % interval {_short(gap.low)} to "
        f"{_short(gap.high)}; {rates}"
    )


def _ratio_words(used: Sequence[GroupRate], ratio: Ratio) -> str:
    by_name = {r.group: r for r in used}
    worst, best = by_name.get(ratio.worst), by_name.get(ratio.best)
    if worst is None or best is None:
        return ratio.missing
    if ratio.value is None or ratio.interval is None:
        # Over a group without errors a ratio only says how few pairs that group has.
        return f"{_share(worst)} of '{worst.group}', {_share(best)} of '{best.group}'"
    alone = (
        " for this comparison alone, which the run's error budget does not accept"
        if ratio.at_least > 1
        else ""
    )
    equal = ": equal rates are not ruled out" if ratio.at_least <= 1 else ""
    return f"worst over best {ratio.value:.3g} (95 % interval {_span(ratio.interval)}{equal}{alone})"


def _rebuilt_finding(params: Params, audit: Audit) -> list[Finding]:
    tests = [(p, set(ends)) for side, *ends, p in audit.tests if side == "reconstruction"]
    p, ends = min(tests, key=lambda t: t[0], default=(1.0, set()))
    if p >= params.level:
        return []
    worst, best = sorted((r for r in audit.rebuilt if r.group in ends), key=lambda r: r.value)
    text = (
        f"Inversion loses more of '{worst.group}': reconstructions reach cosine {_mean_words(worst)} against "
        f"{_mean_words(best)} for '{best.group}', p {_p(p)} after Holm."
    )
    return [Finding("low", text, (f"bias.{slug(audit.attribute)}.reconstruction",), "bias.reconstruction")]


def _mean_words(found: GroupEstimate) -> str:
    span = f"{_span(found.interval)}; " if found.interval else ""
    return f"{found.value:.2f} ({span}{found.n} faces)"


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _p(p: float) -> str:
    return "< 0.001" if p < 1e-3 else f"{p:.2g}"


def result(
    context: AnalysisContext,
    params: Params,
    threshold: Threshold,
    audits: Sequence[Audit],
    skipped: Sequence[str],
    notes: Sequence[str] = (),
) -> AnalysisResult:
    """The section of the report; `notes` are further caveats."""
    audits = share_budget(audits)
    found = findings(params, audits)
    # What an inverter loses is a finding here, but never what is said of the model's own error rates.
    rates = [f for f in found if f.rule != "bias.reconstruction"]
    headline = min(rates, key=lambda f: (f.severity == "info", gravity(f))).text if rates else ""
    if rates and all(f.rule == "bias.unresolved" for f in rates):
        by = _and(list(dict.fromkeys(a.attribute for a in audits if a.ratios)))
        smallest = min(n for a in audits if a.ratios for n in (a.people[rate.group] for rate in a.fmr))
        headline = (
            f"By {by}, no difference between groups could be shown at one threshold for FMR {fmr_words(params.fmr)}; "
            f"the smallest group has {smallest:,} people."
        )
    caveats = [
        "A group label is what the data set says, not who a person is; labels carry their own errors.",
        "Groups differ in more than the label (quality, age, pose): a gap is a fact about this set, not its cause.",
        f"Threshold: {threshold.provenance}.",
        *(f"Not judged: {reason}." for reason in skipped),
        *notes,
    ]
    if not context.faces.identified:
        caveats.append(
            "The set names no identities: every picture counts as its own person, so only the impostor side is "
            "judged, and two pictures of one person would count as an impostor pair."
        )
    caveats += [note] if (note := context.repeat_note()) else []
    if not threshold.resolvable:
        caveats.append(
            f"FMR {fmr_words(params.fmr)} is not resolvable on {threshold.n_impostor:,} calibration pairs "
            "(rule of three)."
        )
    return AnalysisResult(
        "bias",
        "Bias",
        headline=headline or (skipped[0] if skipped else ""),
        answer=answer(audits, sorted(found, key=gravity)),
        findings=tuple(found),
        metrics=tuple(metrics(params, audits, skipped)),
        tables=tuple(tables(audits)),
        figures=tuple(figures(params, audits, threshold)) if audits else (),
        caveats=tuple(caveats),
        method=(
            "One global threshold from the calibration half of the people; rates on the other half over "
            f"{'sampled' if context.scores.sampled else 'all'} pairs "
            "within a group; FNMR compared over all people where both halves are known, each at the threshold that "
            "the other chose; identity-clustered intervals, where enough people carry the pairs; ratios with score "
            "intervals (Miettinen and Nurminen 1985), simultaneous over all pairs of groups; score tests, corrected "
            f"together over all attributes, groups and rates (Holm, {params.level:.2g} for the whole run); FDR "
            "(Pereira and Marcel 2022), IR (NIST IR 8429) and GARBE (Howard et al. 2022) beside what equal groups "
            "would show."
        ),
        params={k: getattr(params, k) for k in params.__dataclass_fields__},
        faces=sum(audits[0].faces.values()) if audits else 0,
    )
