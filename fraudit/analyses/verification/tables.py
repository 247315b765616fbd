"""Tables of verification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fraudit.analyses.verification.judged import Judged
from fraudit.analyses.verification.measure import Points
from fraudit.formatting import fmr_words
from fraudit.stats.folds import FoldAccuracy
from fraudit.types import Column, Interval, Metric, Table


def protocol_table(metrics: Sequence[Metric], n: int) -> Table:
    """Figures of the pairs that the set declares, for comparison with what others publish."""
    return Table(
        "verification_protocol",
        f"On the {n:,} pairs that the set declares",
        (
            Column("figure", "Figure"),
            Column("value", "Value", "number", 5),
            Column("interval", "95 %", "interval"),
            Column("n", "n", "integer"),
            Column("unit", "of"),
        ),
        tuple(
            {
                "figure": m.label,
                "value": m.value,
                "interval": _pair(m.interval),
                "n": m.n,
                "unit": m.n_unit,
            }
            for m in metrics
        ),
        "The other tables and figures use all pairs of the set, except accuracy, which is this protocol's.",
    )


def _pair(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def tables(points: Points, folds: Sequence[FoldAccuracy], judged: Sequence[Judged]) -> list[Table]:
    """TAR at FAR, judged thresholds, folds."""
    found = [
        Table(
            "verification_tar",
            "TAR at FAR",
            (
                Column("far", "FAR"),
                Column("tar", "TAR", "percent", 3),
                Column("interval", "95 %", "interval"),
                Column("achieved", "achieved", "number", 5),
                Column("threshold", "Threshold", "number", 4),
                Column("genuine", "Genuine", "integer"),
                Column("impostor", "Impostor", "integer"),
                Column("resolved", "Resolved by"),
            ),
            tuple(
                {
                    "far": fmr_words(p.far),
                    "tar": p.tar_all,
                    "interval": _pair(interval),
                    "achieved": p.far_achieved,
                    "threshold": p.threshold,
                    "genuine": p.n_genuine_all,
                    "impostor": p.n_impostor,
                    "resolved": {"rule of thirty": "30 / FAR", "rule of three": "3 / FAR", "no": "no"}[
                        p.resolution
                    ],
                }
                for p, interval, _ in points
            ),
            "Threshold: the smallest observed score whose FAR is at most the target. Resolved: by the rule of "
            "thirty (30 / FAR impostor pairs), of three (3 / FAR), or not at all; then TAR is what these pairs show.",
        )
    ]
    if judged:
        found.append(_judged_table(judged))
    if folds:
        rows: list[dict[str, Any]] = [
            {
                "mode": one.mode,
                "fold": k + 1,
                "accuracy": float(one.accuracy[k]),
                "threshold": float(one.thresholds[k]),
                "pairs": int(one.counts[k]),
            }
            for one in folds
            for k in range(len(one.accuracy))
        ]
        rows += [
            {"mode": one.mode, "fold": "all", "accuracy": one.mean, "pairs": int(one.counts.sum())}
            for one in folds
        ]
        found.append(
            Table(
                "verification_folds",
                "Accuracy of every fold",
                (
                    Column("mode", "Protocol"),
                    Column("fold", "Fold"),
                    Column("accuracy", "Accuracy", "percent", 3),
                    Column("threshold", "Threshold of the other folds", "number", 4),
                    Column("pairs", "Pairs", "integer"),
                ),
                tuple(rows),
                "Thresholds are similarities for exact, distances for insightface and facenet.",
            )
        )
    return found


def _judged_table(judged: Sequence[Judged]) -> Table:
    rows = []
    for j in judged:
        row: dict[str, Any] = {
            "fmr": fmr_words(j.target),
            "genuine": j.rates.n_genuine if j.rates else None,
            "people": j.people or None,
            "impostor": j.n_impostor or None,
            "why": j.missing or (j.fnmr.reason if j.fnmr else ""),
        }
        for key, shown in (
            ("threshold", j.threshold),
            ("fnmr", j.fnmr),
            ("target", j.with_threshold),
            ("person", j.per_person),
            ("scored", j.scored),
            ("reached", j.fmr),
            ("reached_target", j.fmr_target),
        ):
            row[key] = shown.value if shown else None
            row[f"{key}_interval"] = _pair(shown.interval) if shown else None
        rows.append(row)
    lost = any(j.scored is not None for j in judged)
    columns = (
        Column("fmr", "FMR target"),
        Column("threshold", "Threshold", "number", 4),
        Column("threshold_interval", "95 %", "interval"),
        Column("fnmr", "FNMR", "percent", 3),
        Column("fnmr_interval", "95 %, threshold as it is", "interval"),
        Column("target_interval", "95 %, its choice included", "interval"),
        Column("scored", "FNMR with vectors", "percent", 3) if lost else None,
        Column("genuine", "Genuine pairs", "integer"),
        Column("person", "FNMR a person", "percent", 3),
        Column("person_interval", "95 %", "interval"),
        Column("people", "People", "integer"),
        Column("reached", "FMR reached", "percent", 4),
        Column("reached_interval", "95 %, threshold as it is", "interval"),
        Column("reached_target_interval", "95 %, its choice included", "interval"),
        Column("impostor", "Impostor pairs", "integer"),
        Column("why", "Note") if any(row["why"] for row in rows) else None,
    )
    return Table(
        "verification_thresholds",
        "Error rates at thresholds chosen on other people",
        tuple(column for column in columns if column is not None),
        tuple(rows),
        "FNMR counts a genuine pair without a vector as an error"
        + (
            "; the column of pairs with vectors leaves them out. "
            if lost
            else "; here no such pair is judged. "
        )
        + "FNMR a person: the mean over people, each weighing the same.",
    )
