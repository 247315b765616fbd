"""Words, tables and figures of the bias analysis; computes no rate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from fraudit.analyses.bias.metrics import metrics, slug
from fraudit.formatting import fmr_words
from fraudit.stats.fairness import Gap, GroupRate, Ratio, clearest_gap, holm
from fraudit.types import AnalysisResult, Column, Figure, Finding, Interval, Severity, Table

if TYPE_CHECKING:
    from fraudit.analyses.bias import Audit, GroupValue, Params

# Lower bound of the simultaneous interval of a ratio of two groups at which a difference gets its severity.
HIGH, MEDIUM = 2.0, 1.25
SUMMARIES = {
    "max_over_geomean_fmr": "Worst FMR over geometric mean (1 is fair)",
    "fdr": "FDR, fairness discrepancy rate (1 is fair)",
    "garbe": "GARBE (0 is fair)",
    "ir": "IR, inequity rate (1 is fair)",
}
WORDS = {"FMR": "false-match rate", "FNMR": "false non-match rate"}


def severity_of(low: float) -> Severity:
    """Rule `bias.ratio` of docs/severity.md."""
    return "high" if low >= HIGH else "medium" if low >= MEDIUM else "low"


def _short(value: float, digits: int = 2) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.{digits}g}"


def _span(interval: Interval, digits: int = 2) -> str:
    return f"{_short(interval.low, digits)} to {_short(interval.high, digits)}"


def share_budget(audits: Sequence[Audit]) -> list[Audit]:
    """The audits with the p values of all their tests corrected together (Holm): one budget for the whole run."""
    adjusted = iter(holm([p for a in audits for *_, p in a.tests]))
    return [replace(a, tests=tuple((*names, float(next(adjusted))) for *names, _ in a.tests)) for a in audits]


def findings(params: Params, audits: Sequence[Audit]) -> list[Finding]:
    """One finding per attribute and side; a difference counts only where Holm's test and the interval agree.

    Args:
        audits: with corrected p values (`share_budget`).
    """
    found: list[Finding] = []
    for audit in audits:
        for side, rates in (("FMR", audit.fmr), ("FNMR", audit.fnmr)):
            if rates:
                found.append(_side_finding(params, audit, side, rates))
        if audit.rebuilt:
            found += _rebuilt_finding(params, audit)
    return found


def _side_finding(params: Params, audit: Audit, side: str, rates: tuple[GroupRate, ...]) -> Finding:
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
    scope += f"; not compared for want of people: {_and(left_out)}" if left_out else ""
    if p < params.level and gap.low > 1:
        return Finding(
            severity_of(gap.low),
            f"By {audit.attribute}, {_gap_words(side, gap)}; {scope}).",
            evidence,
            "bias.ratio",
        )
    text = (
        f"By {audit.attribute}, no difference in the {WORDS[side]} could be shown: "
        f"{_ratio_words(used, audit.ratios[side])}; smallest group {min(r.subjects for r in used):,} people, {scope}."
    )
    return Finding("info", text, evidence, "bias.unresolved")


def _share(rate: GroupRate) -> str:
    return f"{rate.rate:.2%} of {rate.n:,} pairs" if rate.errors else f"none of {rate.n:,} pairs"


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
    return f"worst over best {ratio.value:.3g} (95 % interval {_span(ratio.interval)}{alone})"


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


def _mean_words(found: GroupValue) -> str:
    span = f"{_span(found.interval)}; " if found.interval else ""
    return f"{found.value:.2f} ({span}{found.n} faces)"


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _p(p: float) -> str:
    return "< 0.001" if p < 1e-3 else f"{p:.2g}"


def _rate_rows(audit: Audit, side: str) -> list[dict[str, Any]]:
    rates = {r.group: r for r in (audit.fmr if side == "FMR" else audit.fnmr) or ()}
    rows: list[dict[str, Any]] = []
    for group in audit.groups:
        rate = rates.get(group)
        row: dict[str, Any] = {"label": group, "group": audit.attribute, "panel": side}
        if rate is None:
            row |= {"value": None, "missing": audit.fnmr_missing or "too few genuine pairs"}
        else:
            value = rate.rate if rate.errors else None
            row |= {"value": value, "n": rate.n}
            if rate.interval is not None:
                row |= {"low": rate.interval.low or None, "high": rate.interval.high}
            if value is None:
                row["missing"] = f"no error in {rate.n:,} pairs"
        rows.append(row)
    return rows


def _ends(interval: Interval | None) -> dict[str, float]:
    return {"low": interval.low, "high": interval.high} if interval else {}


def _pair(interval: Interval | None) -> list[float] | None:
    return [interval.low, interval.high] if interval else None


def figures(params: Params, audits: Sequence[Audit], threshold: Any) -> list[Figure]:
    """Rates by group, group sizes, cross-group FMR, thresholds each group would need."""
    drawn: list[Figure] = []
    rows: list[dict[str, Any]] = []
    for audit in audits:
        rows += _rate_rows(audit, "FMR")
        if audit.fnmr:
            rows += _rate_rows(audit, "FNMR")
    worst = max((r for a in audits for r in a.fmr), key=lambda r: r.rate, default=None)
    alt = "Error rate of every group at one threshold."
    if worst is not None:
        alt += f" The highest false-match rate is {worst.rate:.2%}, of '{worst.group}'."
    drawn.append(
        Figure(
            "rates", "dots", "Error rates by group at one threshold",
            f"Every dot is one group; the line is its 95 % interval; the dashed line is the target FMR "
            f"{fmr_words(params.fmr)}. "
            "Groups whose intervals do not overlap differ; log scale, so equal steps are equal ratios.",
            alt,
            {"x": {"label": "error rate", "scale": "log", "percent": True}, "rows": rows,
             "marks": [{"axis": "x", "value": params.fmr, "label": "target FMR", "panel": "FMR"}]},
            main=True,
        )
    )  # fmt: skip
    for audit in audits:
        name = slug(audit.attribute)
        drawn.append(
            Figure(
                f"sizes_{name}", "bars", f"Judged people by {audit.attribute}",
                "Short bars are small groups: their rates are uncertain. Groups below the floor are not judged.",
                f"People per group of {audit.attribute}: "
                + ", ".join(f"{g} {n}" for g, n in [*audit.people.items()]),
                {"x": {"label": "people", "scale": "linear"},
                 "rows": [{"label": g, "value": float(n), "n": n} for g, n in audit.people.items()]},
            )
        )  # fmt: skip
        if len(audit.cross.groups) >= 2:
            drawn.append(
                Figure(
                    f"cross_{name}", "heatmap", f"False-match rate between groups of {audit.attribute}",
                    "The diagonal is within a group. A bright diagonal means that people are confused mostly with "
                    "people of their own group, which a test on mixed pairs hides.",
                    f"Cross-group false-match rates for {len(audit.cross.groups)} groups of {audit.attribute}.",
                    {"rows": list(audit.cross.groups), "columns": list(audit.cross.groups),
                     "values": [list(r) for r in audit.cross.rates], "low": [list(r) for r in audit.cross.low],
                     "high": [list(r) for r in audit.cross.high], "unit": "", "percent": True,
                     "scale": "sequential"},
                )
            )  # fmt: skip
        usable = [t for t in audit.thresholds if t.resolvable]
        if usable:
            drawn.append(
                Figure(
                    f"thresholds_{name}", "dots", f"Threshold each group of {audit.attribute} would need",
                    f"Cosine at which the group itself has FMR {fmr_words(params.fmr)}. Right of the dashed line: the "
                    "one threshold is too lenient for the group.",
                    "; ".join(f"{t.group} {t.value:.3f}" for t in usable),
                    {"x": {"label": "cosine threshold", "scale": "linear"},
                     "rows": [{"label": t.group, "value": t.value, "n": t.n, **_ends(t.interval)} for t in usable],
                     "marks": [{"axis": "x", "value": threshold.value, "label": "global threshold"}]},
                )
            )  # fmt: skip
        if audit.rebuilt:
            drawn.append(
                Figure(
                    f"rebuilt_{name}", "dots", f"What inversion keeps, by {audit.attribute}",
                    "Cosine of a reconstruction to the vector it was made from, judged by the audited model: "
                    "lower means that the inverter has learnt less of the group.",
                    "; ".join(f"{r.group} {r.value:.2f}" for r in audit.rebuilt),
                    {"x": {"label": "cosine of reconstruction to source", "scale": "linear"},
                     "rows": [{"label": r.group, "value": r.value, "n": r.n, **_ends(r.interval)}
                              for r in audit.rebuilt]},
                )
            )  # fmt: skip
    return drawn


def tables(audits: Sequence[Audit]) -> list[Table]:
    """One row a group: rates with interval and n, FTA, people."""
    made = []
    for audit in audits:
        fnmr = {r.group: r for r in audit.fnmr or ()}
        acquired = {r.group: r for r in audit.fnmr_acquired or ()}
        fta = {lost.group: lost for lost in audit.fta}
        rows: list[dict[str, Any]] = []
        for rate in audit.fmr:
            other, plain = fnmr.get(rate.group), acquired.get(rate.group)
            rows.append(
                {
                    "group": rate.group, "people": audit.people[rate.group],
                    "fmr": rate.rate, "fmr_interval": _pair(rate.interval),
                    "impostor": rate.n, "fnmr": other.rate if other else None,
                    "fnmr_interval": _pair(other.interval) if other else None,
                    "genuine": other.n if other else None, "fnmr_acquired": plain.rate if plain else None,
                    "fta": fta[rate.group].value, "faces": fta[rate.group].n,
                    "missing": {"fmr_interval": rate.missing, "fnmr_interval": other.missing if other else ""},
                }
            )  # fmt: skip
        rows += [{"group": f"{g} (below the floor, not judged)", "people": n} for g, n in audit.small]
        columns = (
            Column("group", "Group"), Column("people", "People judged", "integer"),
            Column("fmr", "FMR", "percent", 3), Column("fmr_interval", "95 % interval", "interval", 3),
            Column("impostor", "Impostor pairs", "integer"), Column("fnmr", "FNMR", "percent", 2),
            Column("fnmr_interval", "95 % interval", "interval", 2), Column("genuine", "Genuine pairs", "integer"),
            Column("fnmr_acquired", "FNMR without FTA", "percent", 2), Column("fta", "FTA", "percent", 2),
            Column("faces", "Faces", "integer"),
        )  # fmt: skip
        made.append(
            Table(
                f"groups_{slug(audit.attribute)}", f"Rates by {audit.attribute}", columns, tuple(rows),
                "A face without a vector counts as a false non-match; FNMR without FTA leaves such pairs out.",
            )
        )  # fmt: skip
        made += _summary_table(audit)
    return made


def _summary_table(audit: Audit) -> list[Table]:
    rows = tuple(
        {
            "figure": SUMMARIES[name], "value": found.value, "interval": _pair(found.interval),
            "expected": found.expected, "usual": _pair(found.usual), "corrected": found.corrected,
            "missing": {"value": found.missing, "interval": found.missing or found.interval_missing},
        }
        for name, found in audit.summaries.items()
    )  # fmt: skip
    columns = (
        Column("figure", "Figure"), Column("value", "Measured", "number", 3),
        Column("interval", "95 % interval of the truth", "interval", 3),
        Column("expected", "Equal groups would show", "number", 3), Column("usual", "95 % of them", "interval", 3),
        Column("corrected", "Estimate", "number", 3),
    )  # fmt: skip
    caption = (
        "A maximum over noisy rates is biased upwards: groups of these sizes that are equal in truth would show the "
        "fourth column. The estimate is free of that bias (median-unbiased)."
    )
    title = f"Unfairness in one figure by {audit.attribute}"
    return [Table(f"summary_{slug(audit.attribute)}", title, columns, rows, caption)] if rows else []


def result(
    context: Any, params: Params, threshold: Any, audits: Sequence[Audit], skipped: Sequence[str],
    notes: Sequence[str] = (),
) -> AnalysisResult:  # fmt: skip
    """The section of the report; `notes` are further caveats."""
    audits = share_budget(audits)
    found = findings(params, audits)
    rank = {"high": 0, "medium": 1, "low": 2, "good": 3, "info": 4}
    # What an inverter loses is a finding here, but never what is said of the model's own error rates.
    rates = [f for f in found if f.rule != "bias.reconstruction"]
    headline = min(rates, key=lambda f: rank[f.severity]).text if rates else ""
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
        findings=tuple(found),
        metrics=tuple(metrics(params, audits, skipped)),
        tables=tuple(tables(audits)),
        figures=tuple(figures(params, audits, threshold)) if audits else (),
        caveats=tuple(caveats),
        method=(
            "One global threshold from the calibration half of the people; rates on the other half over all pairs "
            "within a group; identity-clustered intervals, where enough people carry the pairs; ratios with score "
            "intervals (Miettinen and Nurminen 1985), simultaneous over all pairs of groups; score tests, corrected "
            f"together over all attributes, groups and rates (Holm, {params.level:.2g} for the whole run); FDR "
            "(Pereira and Marcel 2022), IR (NIST IR 8429) and GARBE (Howard et al. 2022) beside what equal groups "
            "would show."
        ),
        params={k: getattr(params, k) for k in params.__dataclass_fields__},
        faces=sum(audits[0].faces.values()) if audits else 0,
    )
