"""Words, tables and figures of the bias analysis; computes no rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fraudit.formatting import fmr_words
from fraudit.stats.fairness import GroupRate
from fraudit.types import AnalysisResult, Column, Figure, Finding, Interval, Metric, Severity, Table

if TYPE_CHECKING:
    from fraudit.analyses.bias import Audit, Params

# Lower bound of the simultaneous interval of worst / best at which a difference gets its severity.
HIGH, MEDIUM = 2.0, 1.25
WORDS = {"FMR": "false-match rate", "FNMR": "false non-match rate"}


def severity_of(low: float) -> Severity:
    """Rule `bias.ratio` of docs/severity.md."""
    return "high" if low >= HIGH else "medium" if low >= MEDIUM else "low"


def _slug(text: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in text).strip("_").lower()


def _short(value: float, digits: int = 2) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.{digits}g}"


def _span(interval: Interval, digits: int = 2) -> str:
    return f"{_short(interval.low, digits)} to {_short(interval.high, digits)}"


def findings(params: Params, audits: Sequence[Audit]) -> list[Finding]:
    """One finding per attribute and side; a difference counts only where Holm's test and the interval agree."""
    found: list[Finding] = []
    for audit in audits:
        for side, rates in (("FMR", audit.fmr), ("FNMR", audit.fnmr)):
            if not rates:
                continue
            name = f"bias.{_slug(audit.attribute)}.max_over_min_{side.lower()}"
            ratio = audit.ratios.get(side)
            p = min((p for s, _, _, p in audit.tests if s == side), default=1.0)
            if ratio is None:
                found.append(
                    Finding(
                        "info",
                        f"No {WORDS[side]} above 0 in any group of {audit.attribute} "
                        f"({sum(r.n for r in rates):,} pairs): no ratio of rates can be given.",
                        (name,),
                        "bias.no_errors",
                    )
                )
            elif p < params.level and ratio.interval.low > 1:
                by_name = {r.group: r for r in rates}
                worst, best = by_name[ratio.worst], by_name[ratio.best]
                floor = " at most" if best.is_floored else ""
                found.append(
                    Finding(
                        severity_of(ratio.interval.low),
                        f"By {audit.attribute}, the {WORDS[side]} of '{worst.group}' is {ratio.value:.3g} times "
                        f"that of '{best.group}' (95 % interval {_span(ratio.interval)}; {worst.rate:.2%} of "
                        f"{worst.n:,} pairs against{floor} {best.floored:.2%} of {best.n:,}; {len(rates)} groups, "
                        f"Holm-corrected p {_p(p)}).",
                        (name,),
                        "bias.ratio",
                    )
                )
            else:
                by_name = {r.group: r for r in rates}
                worst, best = by_name[ratio.worst], by_name[ratio.best]
                # Over a group without errors a ratio only says how few pairs that group has.
                measured = (
                    f"{worst.rate:.2%} of {worst.n:,} pairs of '{worst.group}', none of {best.n:,} of '{best.group}'"
                    if best.is_floored
                    else f"worst over best {ratio.value:.3g} (95 % interval {_span(ratio.interval)})"
                )
                found.append(
                    Finding(
                        "info",
                        f"By {audit.attribute}, no difference in the {WORDS[side]} could be shown: {measured}; "
                        f"smallest group {min(r.subjects for r in rates):,} people, Holm-corrected p {_p(p)}.",
                        (name,),
                        "bias.unresolved",
                    )
                )
        if audit.rebuilt:
            best, worst = max(audit.rebuilt, key=lambda r: r[1]), min(audit.rebuilt, key=lambda r: r[1])
            if worst[2].high < best[2].low:
                found.append(
                    Finding(
                        "low",
                        f"Inversion loses more of '{worst[0]}': reconstructions reach cosine {worst[1]:.2f} "
                        f"({_span(worst[2])}; {worst[3]} faces) against {best[1]:.2f} ({_span(best[2])}; "
                        f"{best[3]} faces) for '{best[0]}'.",
                        (f"bias.{_slug(audit.attribute)}.reconstruction",),
                        "bias.reconstruction",
                    )
                )
    return found


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _p(p: float) -> str:
    return "< 0.001" if p < 1e-3 else f"{p:.2g}"


def metrics(params: Params, audits: Sequence[Audit], skipped: Sequence[str]) -> list[Metric]:
    """Every rate, threshold and summary with n and interval, or the reason it is missing."""
    rows: list[Metric] = []
    for audit in audits:
        base = f"bias.{_slug(audit.attribute)}"

        def add(name: str, rate: GroupRate, base: str = base) -> None:
            rows.append(
                Metric(
                    f"{base}.{name}", rate.rate, n=rate.n, interval=rate.interval, group=rate.group,
                    better="lower", label=f"{name.upper()} of {rate.group}", n_unit="pairs",
                )
            )  # fmt: skip

        for rate in audit.fmr:
            add("fmr", rate)
        if audit.fnmr is None:
            rows.append(Metric(f"{base}.fnmr", None, missing=audit.fnmr_missing, better="lower"))
        for rate in audit.fnmr or ():
            add("fnmr", rate)
        for rate in audit.fnmr_acquired or ():
            add("fnmr_acquired", rate)
        for group, share, interval, n in audit.fta:
            rows.append(
                Metric(f"{base}.fta", share, n=n, interval=interval, group=group, better="lower",
                       label=f"Failure to acquire of {group}", n_unit="faces")
            )  # fmt: skip
        for own in audit.thresholds:
            name = f"{base}.threshold@fmr={params.fmr:g}"
            if own.resolvable:
                interval = Interval(
                    own.low, own.high, 0.95, "the thresholds at the ends of the FMR's interval"
                )
                rows.append(
                    Metric(name, own.value, n=own.n, interval=interval, group=own.group, n_unit="pairs",
                           label=f"Threshold '{own.group}' would need")
                )  # fmt: skip
            else:
                reason = f"FMR {fmr_words(params.fmr)} needs {3 / params.fmr:,.0f} impostor pairs; there are {own.n:,}"
                rows.append(Metric(name, None, missing=reason, group=own.group))
        for side in ("FMR", "FNMR"):
            name = f"{base}.max_over_min_{side.lower()}"
            ratio = audit.ratios.get(side)
            if ratio is not None:
                n = sum(r.n for r in (audit.fmr if side == "FMR" else audit.fnmr or ()))
                rows.append(
                    Metric(name, ratio.value, n=n, interval=ratio.interval, better="lower", n_unit="pairs",
                           label=f"{side}, worst group over best, by {audit.attribute}")
                )  # fmt: skip
            else:
                rates = audit.fmr if side == "FMR" else audit.fnmr
                reason = "no error in any group" if rates else audit.fnmr_missing
                rows.append(Metric(name, None, missing=reason, better="lower"))
        for name, (value, interval) in audit.summaries.items():
            better = "higher" if name == "fdr" else "lower"
            rows.append(
                Metric(f"{base}.{name}", value, n=len(audit.groups), interval=interval, better=better,
                       n_unit="groups", label=f"{name.replace('_', ' ')} by {audit.attribute}")
            )  # fmt: skip
        for name in ("fdr", "ir", "garbe"):
            if name not in audit.summaries:
                reason = audit.fnmr_missing or "no error in any group, or no common groups for FMR and FNMR"
                rows.append(Metric(f"{base}.{name}", None, missing=reason))
        for group, value, interval, n in audit.rebuilt:
            rows.append(
                Metric(f"{base}.reconstruction", value, n=n, interval=interval, group=group, n_unit="faces",
                       label=f"Cosine of reconstructions of {group}")
            )  # fmt: skip
    ratios = [(r, audit, side) for audit in audits for side, r in audit.ratios.items()]
    if ratios:
        ratio, audit, side = max(ratios, key=lambda item: item[0].interval.low)
        n = sum(audit.faces.values())
        rows.append(
            Metric("bias.worst_gap", ratio.value, n=n, interval=ratio.interval, better="lower", n_unit="faces",
                   label=f"{side} of '{ratio.worst}' over '{ratio.best}'")
        )  # fmt: skip
    else:
        reason = skipped[0] if skipped else "no error in any group"
        rows.append(Metric("bias.worst_gap", None, missing=reason, better="lower"))
    return rows


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
            row |= {"value": value, "low": rate.interval.low or None, "high": rate.interval.high, "n": rate.n}
            if value is None:
                row["missing"] = f"no error in {rate.n:,} pairs"
        rows.append(row)
    return rows


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
        slug = _slug(audit.attribute)
        drawn.append(
            Figure(
                f"sizes_{slug}", "bars", f"Judged people by {audit.attribute}",
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
                    f"cross_{slug}", "heatmap", f"False-match rate between groups of {audit.attribute}",
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
                    f"thresholds_{slug}", "dots", f"Threshold each group of {audit.attribute} would need",
                    f"Cosine at which the group itself has FMR {fmr_words(params.fmr)}. Right of the dashed line: the "
                    "one threshold is too lenient for the group.",
                    "; ".join(f"{t.group} {t.value:.3f}" for t in usable),
                    {"x": {"label": "cosine threshold", "scale": "linear"},
                     "rows": [{"label": t.group, "value": t.value, "low": t.low, "high": t.high, "n": t.n}
                              for t in usable],
                     "marks": [{"axis": "x", "value": threshold.value, "label": "global threshold"}]},
                )
            )  # fmt: skip
        if audit.rebuilt:
            drawn.append(
                Figure(
                    f"rebuilt_{slug}", "dots", f"What inversion keeps, by {audit.attribute}",
                    "Cosine of a reconstruction to the vector it was made from, judged by the audited model: "
                    "lower means that the inverter has learnt less of the group.",
                    "; ".join(f"{g} {v:.2f}" for g, v, _, _ in audit.rebuilt),
                    {"x": {"label": "cosine of reconstruction to source", "scale": "linear"},
                     "rows": [{"label": g, "value": v, "low": i.low, "high": i.high, "n": n}
                              for g, v, i, n in audit.rebuilt]},
                )
            )  # fmt: skip
    return drawn


def tables(audits: Sequence[Audit]) -> list[Table]:
    """One row a group: rates with interval and n, FTA, people."""
    made = []
    for audit in audits:
        fnmr = {r.group: r for r in audit.fnmr or ()}
        acquired = {r.group: r for r in audit.fnmr_acquired or ()}
        fta = {g: (share, n) for g, share, _, n in audit.fta}
        rows: list[dict[str, Any]] = []
        for rate in audit.fmr:
            other, plain = fnmr.get(rate.group), acquired.get(rate.group)
            rows.append(
                {
                    "group": rate.group, "people": audit.people[rate.group],
                    "fmr": rate.rate, "fmr_interval": [rate.interval.low, rate.interval.high],
                    "impostor": rate.n, "fnmr": other.rate if other else None,
                    "fnmr_interval": [other.interval.low, other.interval.high] if other else None,
                    "genuine": other.n if other else None, "fnmr_acquired": plain.rate if plain else None,
                    "fta": fta[rate.group][0], "faces": fta[rate.group][1],
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
                f"groups_{_slug(audit.attribute)}", f"Rates by {audit.attribute}", columns, tuple(rows),
                "A face without a vector counts as a false non-match; FNMR without FTA leaves such pairs out.",
            )
        )  # fmt: skip
    return made


def result(
    context: Any, params: Params, threshold: Any, audits: Sequence[Audit], skipped: Sequence[str]
) -> AnalysisResult:
    """The section of the report."""
    found = findings(params, audits)
    rank = {"high": 0, "medium": 1, "low": 2, "good": 3, "info": 4}
    headline = min(found, key=lambda f: rank[f.severity]).text if found else ""
    if found and all(f.rule == "bias.unresolved" for f in found):
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
    ]
    if not context.faces.identified:
        caveats.append(
            "The set names no identities: every picture counts as its own person, so only the impostor side is "
            "judged, and two pictures of one person would count as an impostor pair."
        )
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
            "within a group; identity-clustered intervals; worst over best with a simultaneous interval; pairwise "
            "z tests, Holm-corrected within an attribute; FDR (Pereira and Marcel 2022), IR (NIST IR 8429), GARBE "
            "(Howard et al. 2022); a zero rate is floored at its rule-of-three bound."
        ),
        params={k: getattr(params, k) for k in params.__dataclass_fields__},
        faces=sum(audits[0].faces.values()) if audits else 0,
    )
