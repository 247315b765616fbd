"""Figures of the leakage analysis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fraudit.analyses.leakage.measure import Probe, above_chance, control_above_chance
from fraudit.analyses.leakage.targets import IDENTITY, NOT_IDENTITY
from fraudit.types import Figure


def ranking(probes: Sequence[Probe]) -> Figure:
    """Task score against control task, ranked within its group."""
    rows: list[dict[str, Any]] = []
    for group in (NOT_IDENTITY, IDENTITY):
        for place, probe in enumerate(p for p in probes if p.target.group == group):
            score = above_chance(probe, probe.score)
            rows.append(
                {
                    "label": probe.target.words,
                    "value": score.value,
                    "low": score.interval.low,
                    "high": score.interval.high,
                    "n": probe.n,
                    "group": group,
                    "compare": control_above_chance(probe),
                    "compare_label": "control task",
                    "accent": group == NOT_IDENTITY and place == 0,
                }
            )
    top = rows[0]
    return Figure(
        "ranking",
        "dots",
        "What can be read from an ID vector",
        "Filled: the linear probe on people it has never seen, with its 95 % interval. Hollow: the control task, "
        "one random label a person. 0 is chance and 1 is perfect: R2 for numbers, 2 AUC - 1 for classes.",
        f"{len(rows)} targets ranked by what a linear probe reads; the first is {top['label']} with "
        f"{top['value']:.2f} against {top['compare']:.2f} for the control task.",
        {"x": {"label": "score above chance (R2, or 2 AUC - 1)", "scale": "linear"}, "rows": rows},
        main=True,
    )


def shares(probes: Sequence[Probe]) -> Figure | None:
    """Share of within-person variance of each target."""
    known = sorted(
        (p for p in probes if p.share is not None),
        key=lambda p: p.share.value if p.share else 0,
        reverse=True,
    )
    if not known:
        return None
    rows = [
        {
            "label": p.target.words,
            "value": p.share.value,
            "low": p.share.interval.low,
            "high": p.share.interval.high,
            "n": p.n,
        }
        for p in known
        if p.share is not None
    ]
    return Figure(
        "within",
        "dots",
        "What makes two pictures of one person differ",
        "Share of the ID vectors' variance within people that each target explains linearly, one at a time: "
        "targets that go together (such as smiling and an open mouth) share what they explain.",
        "; ".join(f"{p.target.words} {100 * p.share.value:.2g} %" for p in known[:6] if p.share is not None),
        {"x": {"label": "share of variance within people", "scale": "linear", "percent": True}, "rows": rows},
    )


def figures(probes: Sequence[Probe]) -> list[Figure]:
    """Ranking and shares of within-person variance; none without a probe."""
    drawn = (ranking(probes), shares(probes)) if probes else ()
    return [f for f in drawn if f is not None]
