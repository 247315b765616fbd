"""Figures of the bias analysis: rates by group, group sizes, cross-group FMR, thresholds, reconstructions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fraudit.analyses.bias.limits import HIGH, MEDIUM
from fraudit.analyses.bias.measure import Audit
from fraudit.analyses.bias.metrics import slug
from fraudit.analyses.bias.params import Params
from fraudit.formatting import fmr_words, percent
from fraudit.types import Figure, Interval

if TYPE_CHECKING:
    from fraudit.audit.thresholds import Threshold


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


def _gap_rows(audit: Audit) -> list[dict[str, Any]]:
    """One row a rate: the worst group's over the best one's, or why there is none."""
    rows: list[dict[str, Any]] = []
    for side, rates in (("FMR", audit.fmr), ("FNMR", audit.fnmr_all or audit.fnmr)):
        ratio = audit.ratios.get(side)
        if not rates or ratio is None:
            continue
        row: dict[str, Any] = {"label": side, "group": audit.attribute, "n": sum(r.n for r in rates)}
        if ratio.worst and ratio.best:
            row["label"] = f"{side}: {ratio.worst} / {ratio.best}"
        if ratio.value is None or ratio.interval is None:
            least = (
                f"at least {ratio.at_least:.2g}" if ratio.at_least > 1 else "open: no error in the best group"
            )
            row |= {"value": None, "missing": least if ratio.worst else ratio.missing}
        else:
            row |= {"value": ratio.value, **_ends(ratio.interval)}
        rows.append(row)
    return rows


def _gaps(audits: Sequence[Audit]) -> Figure | None:
    """The figure that the section opens with: every worst group against the limits of severity."""
    rows = [row for audit in audits for row in _gap_rows(audit)]
    if not rows:
        return None
    known = [row for row in rows if row["value"] is not None]
    worst = max(known, key=lambda row: row.get("low", 1.0), default=None)
    alt = "How many times the worst group's error rate is the best group's."
    if worst is not None:
        alt += f" Surest: {worst['label']} with {worst['value']:.2f}, by {worst['group']}."
    return Figure(
        "gap",
        "dots",
        "Worst group against best",
        "How many times the worst group's error rate is the best group's; 1 is equal. Read a line's left end: at 1 "
        f"the groups may be equal; right of {MEDIUM:g} a difference that the tests confirm counts as medium, right of "
        f"{HIGH:g} as high. Of equal groups too one is worst by chance, so that a dot alone says little.",
        alt,
        {
            "x": {"label": "worst over best", "scale": "log"},
            "rows": rows,
            "marks": [
                {"axis": "x", "value": 1.0, "label": "equal"},
                {"axis": "x", "value": MEDIUM, "label": "medium"},
                {"axis": "x", "value": HIGH, "label": "high"},
            ],
        },
        main=True,
    )


def _ends(interval: Interval | None) -> dict[str, float]:
    return {"low": interval.low, "high": interval.high} if interval else {}


def figures(params: Params, audits: Sequence[Audit], threshold: Threshold) -> list[Figure]:
    """Rates by group, group sizes, cross-group FMR, thresholds each group would need."""
    gaps = _gaps(audits)
    drawn: list[Figure] = [gaps] if gaps else []
    rows: list[dict[str, Any]] = []
    for audit in audits:
        rows += _rate_rows(audit, "FMR")
        if audit.fnmr:
            rows += _rate_rows(audit, "FNMR")
    worst = max((r for a in audits for r in a.fmr), key=lambda r: r.rate, default=None)
    alt = "Error rate of every group at one threshold."
    if worst is not None:
        alt += f" The highest false-match rate is {percent(worst.rate)}, of '{worst.group}'."
    drawn.append(
        Figure(
            "rates",
            "dots",
            "Error rates by group at one threshold",
            f"Every dot is one group; the line is its 95 % interval; the dashed line is the target FMR "
            f"{fmr_words(params.fmr)}. "
            "Groups whose intervals do not overlap differ; log scale, so equal steps are equal ratios; a line that "
            "reaches the left edge goes on beyond it.",
            alt,
            {
                "x": {"label": "error rate", "scale": "log", "percent": True},
                "rows": rows,
                "marks": [{"axis": "x", "value": params.fmr, "label": "target FMR", "panel": "FMR"}],
            },
            main=gaps is None,
        )
    )
    for audit in audits:
        name = slug(audit.attribute)
        drawn.append(
            Figure(
                f"sizes_{name}",
                "bars",
                f"Judged people by {audit.attribute}",
                "Short bars are small groups: their rates are uncertain. Groups below the floor are not judged.",
                f"People per group of {audit.attribute}: "
                + ", ".join(f"{g} {n}" for g, n in [*audit.people.items()]),
                {
                    "x": {"label": "people", "scale": "linear"},
                    "rows": [{"label": g, "value": float(n), "n": n} for g, n in audit.people.items()],
                },
            )
        )
        if len(audit.cross.groups) >= 2:
            drawn.append(
                Figure(
                    f"cross_{name}",
                    "heatmap",
                    f"False-match rate between groups of {audit.attribute}",
                    "The diagonal is within a group. A bright diagonal means that people are confused mostly with "
                    "people of their own group, which a test on mixed pairs hides.",
                    f"Cross-group false-match rates for {len(audit.cross.groups)} groups of {audit.attribute}.",
                    {
                        "rows": list(audit.cross.groups),
                        "columns": list(audit.cross.groups),
                        "values": [list(r) for r in audit.cross.rates],
                        "low": [list(r) for r in audit.cross.low],
                        "high": [list(r) for r in audit.cross.high],
                        "unit": "",
                        "percent": True,
                        "scale": "sequential",
                    },
                )
            )
        usable = [t for t in audit.thresholds if t.resolvable]
        if usable:
            drawn.append(
                Figure(
                    f"thresholds_{name}",
                    "dots",
                    f"Threshold each group of {audit.attribute} would need",
                    f"Cosine at which the group itself has FMR {fmr_words(params.fmr)}. Right of the dashed line: the "
                    "one threshold is too lenient for the group.",
                    "; ".join(f"{t.group} {t.value:.3f}" for t in usable),
                    {
                        "x": {"label": "cosine threshold", "scale": "linear"},
                        "rows": [
                            {"label": t.group, "value": t.value, "n": t.n, **_ends(t.interval)}
                            for t in usable
                        ],
                        "marks": [{"axis": "x", "value": threshold.value, "label": "global threshold"}],
                    },
                )
            )
        if audit.rebuilt:
            drawn.append(
                Figure(
                    f"rebuilt_{name}",
                    "dots",
                    f"What inversion keeps, by {audit.attribute}",
                    "Cosine of a reconstruction to the vector it was made from, judged by the audited model: "
                    "lower means that the inverter has learnt less of the group.",
                    "; ".join(f"{r.group} {r.value:.2f}" for r in audit.rebuilt),
                    {
                        "x": {"label": "cosine of reconstruction to source", "scale": "linear"},
                        "rows": [
                            {"label": r.group, "value": r.value, "n": r.n, **_ends(r.interval)}
                            for r in audit.rebuilt
                        ],
                    },
                )
            )
    return drawn
