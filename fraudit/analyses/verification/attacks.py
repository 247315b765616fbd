"""Presentation attacks in a score file: how many of them are taken for the person they show (IAPAR)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from fraudit.scores.scoreset import AttackScores
from fraudit.stats.intervals import clustered_rate, interval_or_reason
from fraudit.types import AnalysisResult, Column, Finding, Metric, Table


def with_attacks(result: AnalysisResult, attacks: AttackScores) -> AnalysisResult:
    """The verification section with IAPAR by instrument, at the thresholds that its bona fide pairs give.

    IAPAR (ISO/IEC 30107-3) is the share of attacks with one instrument that match the attacked person. An attack
    without a score is no match.
    """
    metrics, rows = [], []
    for name, far, threshold in _thresholds(result):
        for kind in (*_kinds(attacks), ""):
            metric = _iapar(attacks, kind, name, far, threshold)
            metrics.append(metric)
            bounds = metric.interval
            rows.append(
                {
                    "instrument": kind or "all",
                    "at": far,
                    "threshold": threshold,
                    "iapar": metric.value,
                    "interval": [bounds.low, bounds.high] if bounds else None,
                    "n": metric.n,
                    "note": metric.interval_missing,
                }
            )
    if not metrics:
        return result
    table = Table(
        "verification_attacks",
        "Presentation attacks taken for the person (IAPAR)",
        (
            Column("instrument", "Instrument"),
            Column("at", "Threshold of"),
            Column("threshold", "Threshold", "number", 4),
            Column("iapar", "IAPAR", "percent", 3),
            Column("interval", "95 %", "interval"),
            Column("n", "Attacks", "integer"),
            Column("note", "Note"),
        ),
        tuple(rows),
        "Attacks are in no other figure. The thresholds are those of the bona fide pairs.",
    )
    shown = metrics[len(_kinds(attacks))]
    text = (
        f"{len(attacks):,} presentation attacks were left out of every error rate; "
        f"{100 * (shown.value or 0):.1f} % of them match the attacked person at the threshold of the EER."
    )
    return replace(
        result,
        metrics=(*result.metrics, *metrics),
        tables=(*result.tables, table),
        findings=(*result.findings, Finding("info", text, (shown.name,), "verification.attacks")),
    )


def _thresholds(result: AnalysisResult) -> Sequence[tuple[str, str, float]]:
    """(name in metrics, name for a person, similarity) of the EER and of every FAR that is resolved."""
    found: list[tuple[str, str, float]] = []
    for metric in result.metrics:
        if metric.name == "verification.eer_threshold" and metric.value is not None:
            found.append(("eer", "EER", float(metric.value)))
    rows: Sequence[Any] = next((t.rows for t in result.tables if t.name == "verification_tar"), ())
    for row in rows:
        if row["resolved"] != "no" and row["threshold"] is not None and np.isfinite(row["threshold"]):
            found.append((f"far={row['far']}", f"FAR {row['far']}", float(row["threshold"])))
    return found


def _kinds(attacks: AttackScores) -> list[str]:
    kinds = [str(kind) for kind in np.unique(attacks.kind)]
    return kinds if len(kinds) > 1 else []


def _iapar(attacks: AttackScores, kind: str, at: str, words: str, threshold: float) -> Metric:
    use = attacks.kind == kind if kind else np.ones(len(attacks), bool)
    hit = attacks.score[use] >= threshold
    people = np.unique(attacks.claimed, return_inverse=True)[1].reshape(-1).astype(np.int64)[use]
    interval, reason = interval_or_reason(lambda: clustered_rate(hit, people, people))
    return Metric(
        f"verification.iapar{f'.{kind}' if kind else ''}@{at}",
        float(hit.mean()),
        n=int(use.sum()),
        n_unit="attacks",
        interval=interval,
        better="lower",
        interval_missing=reason,
        label=f"IAPAR {f'of {kind} ' if kind else ''}at the threshold of {words}",
    )
