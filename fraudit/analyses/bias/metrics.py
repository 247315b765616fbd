"""Metrics of the bias analysis: every rate, threshold and summary with its interval or the reason there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fraudit.analyses.bias.measure import Audit
from fraudit.analyses.bias.params import Params
from fraudit.formatting import fmr_words
from fraudit.stats.estimates import GroupEstimate
from fraudit.stats.rates import GroupRate
from fraudit.types import Metric


def slug(text: str) -> str:
    """A name as a metric, table or figure may carry it."""
    return "".join(c if c.isalnum() else "_" for c in text).strip("_").lower()


RATES = {"fmr": "FMR", "fnmr": "FNMR", "fnmr_acquired": "FNMR, failures to acquire left out,"}
FAIRNESS = {
    "max_over_geomean_fmr": "Worst FMR over geometric mean",
    "fdr": "FDR (fairness discrepancy rate)",
    "ir": "IR (inequity rate)",
    "garbe": "GARBE",
}


def _rate_metric(base: str, name: str, rate: GroupRate) -> Metric:
    return Metric(
        f"{base}.{name}",
        rate.rate,
        n=rate.n,
        interval=rate.interval,
        group=rate.group,
        better="lower",
        interval_missing=rate.missing,
        label=f"{RATES[name]} of {rate.group}",
        n_unit="pairs",
    )


def fta_metrics(base: str, fta: Sequence[GroupEstimate]) -> list[Metric]:
    """Failure to acquire of each group."""
    return [
        Metric(
            f"{base}.fta",
            lost.value,
            n=lost.n,
            interval=lost.interval,
            group=lost.group,
            better="lower",
            interval_missing=lost.reason,
            label=f"Failure to acquire of {lost.group}",
            n_unit="faces",
        )
        for lost in fta
    ]


def rebuilt_metrics(base: str, rebuilt: Sequence[GroupEstimate]) -> list[Metric]:
    """Mean cosine of each group's reconstructions to what they were made from."""
    return [
        Metric(
            f"{base}.reconstruction",
            made.value,
            n=made.n,
            interval=made.interval,
            group=made.group,
            interval_missing=made.reason,
            n_unit="faces",
            label=f"Cosine of reconstructions of {made.group}",
        )
        for made in rebuilt
    ]


def metrics(params: Params, audits: Sequence[Audit], skipped: Sequence[str]) -> list[Metric]:
    """Every rate, threshold and summary with n and interval, or the reason it is missing."""
    rows: list[Metric] = []
    for audit in audits:
        base = f"bias.{slug(audit.attribute)}"

        for rate in audit.fmr:
            rows.append(_rate_metric(base, "fmr", rate))
        if audit.fnmr is None:
            rows.append(Metric(f"{base}.fnmr", None, missing=audit.fnmr_missing, better="lower"))
        for rate in audit.fnmr or ():
            rows.append(_rate_metric(base, "fnmr", rate))
        for rate in audit.fnmr_acquired or ():
            rows.append(_rate_metric(base, "fnmr_acquired", rate))
        rows += fta_metrics(base, audit.fta)
        for own in audit.thresholds:
            name = f"{base}.threshold@fmr={params.fmr:g}"
            if own.resolvable:
                rows.append(
                    Metric(
                        name,
                        own.value,
                        n=own.n,
                        interval=own.interval,
                        group=own.group,
                        n_unit="pairs",
                        interval_missing=own.missing,
                        label=f"Threshold '{own.group}' would need",
                    )
                )
            else:
                reason = f"FMR {fmr_words(params.fmr)} needs {3 / params.fmr:,.0f} impostor pairs; there are {own.n:,}"
                rows.append(Metric(name, None, missing=reason, group=own.group))
        rows += _ratio_metrics(audit, base)
        rows += _summary_metrics(audit, base)
        rows += rebuilt_metrics(base, audit.rebuilt)
    return [*rows, _worst_gap(audits, skipped)]


def _ratio_metrics(audit: Audit, base: str) -> list[Metric]:
    rows = []
    for side, rates in (("FMR", audit.fmr), ("FNMR", audit.fnmr_all or audit.fnmr)):
        name, ratio = f"{base}.max_over_min_{side.lower()}", audit.ratios.get(side)
        if ratio is None or ratio.value is None:
            absent = "no error in any group" if rates else audit.fnmr_missing
            rows.append(Metric(name, None, missing=ratio.missing if ratio else absent, better="lower"))
            continue
        rows.append(
            Metric(
                name,
                ratio.value,
                n=sum(r.n for r in rates or ()),
                interval=ratio.interval,
                better="lower",
                interval_missing=ratio.missing,
                n_unit="pairs",
                label=f"{side}, worst group over best, by {audit.attribute}",
            )
        )
    return rows


def _summary_metrics(audit: Audit, base: str) -> list[Metric]:
    """Each figure, what equal groups would show, and the estimate without the upward bias of a maximum."""
    rows = []
    for name, found in audit.summaries.items():
        words = f"{FAIRNESS[name]} by {audit.attribute}"
        better: Any = "higher" if name == "fdr" else "lower"
        if found.value is None:
            rows.append(Metric(f"{base}.{name}", None, missing=found.missing, better=better))
            continue
        shared: dict[str, Any] = {"n": len(audit.groups), "n_unit": "groups"}
        missing = found.interval_missing
        rows.append(
            Metric(
                f"{base}.{name}",
                found.value,
                interval=found.interval,
                interval_missing=missing,
                better=better,
                label=words,
                **shared,
            )
        )
        if found.expected is not None:
            rows.append(
                Metric(
                    f"{base}.{name}_if_equal",
                    found.expected,
                    interval=found.usual,
                    label=f"{words}: median of equal groups of these sizes",
                    **shared,
                )
            )
        if found.corrected is not None:
            rows.append(
                Metric(
                    f"{base}.{name}_corrected",
                    found.corrected,
                    interval=found.interval,
                    better=better,
                    interval_missing=missing,
                    label=f"{words}, without the bias of a maximum",
                    **shared,
                )
            )
    for name in ("fdr", "ir", "garbe"):
        if name not in audit.summaries:
            reason = audit.fnmr_missing or "FMR and FNMR have not the same groups"
            rows.append(Metric(f"{base}.{name}", None, missing=reason))
    return rows


def _worst_gap(audits: Sequence[Audit], skipped: Sequence[str]) -> Metric:
    ratios = [(r, audit, side) for audit in audits for side, r in audit.ratios.items() if r.value is not None]
    if not ratios:
        unmeasured = [r.missing for audit in audits for r in audit.ratios.values()]
        reason = next(iter([*unmeasured, *skipped]), "no error in any group")
        return Metric("bias.worst_gap", None, missing=reason, better="lower")
    ratio, audit, side = max(ratios, key=lambda item: item[0].at_least)
    return Metric(
        "bias.worst_gap",
        ratio.value,
        n=sum(audit.faces.values()),
        interval=ratio.interval,
        better="lower",
        interval_missing=ratio.missing,
        n_unit="faces",
        label=f"{side} of '{ratio.worst}' over '{ratio.best}'"
        + ("; 1 is equal and not ruled out" if ratio.at_least <= 1 else ""),
    )
