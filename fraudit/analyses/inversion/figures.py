"""Figures of the inversion audit, from counted rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fraudit.analyses.inversion.measure import Sweep, Verdict
from fraudit.analyses.inversion.rates import Attack, Groups
from fraudit.analyses.shared.counted import chart_curve, chart_interval, mean_or_none
from fraudit.analyses.shared.words import judge_name
from fraudit.formatting import fmr_words, percent
from fraudit.stats.pairs import angular
from fraudit.types import Figure


def _histogram(verdicts: Sequence[Verdict], attacks: Sequence[Attack]) -> Figure:
    series, marks, words = [], [], []
    edges = np.linspace(0, 1, 81)
    ends: list[float] = []
    for v in verdicts:
        panel = judge_name(v.name, v.own)
        for name, scores in (
            ("strangers", v.impostor),
            ("same person", v.genuine),
            ("reconstruction", v.source),
        ):
            distances = angular(scores[np.isfinite(scores)])
            if len(distances):
                counts = np.histogram(distances, edges)[0]
                ends += [float(distances.min()), float(distances.max())]
                series.append(
                    {
                        "name": name,
                        "edges": edges.tolist(),
                        "counts": counts.tolist(),
                        "accent": name == "reconstruction",
                        "panel": panel,
                        "n": len(distances),
                    }
                )
                words.append(f"{panel}, {name}: median {np.median(distances):.2f}, n {len(distances):,}")
    for a in attacks:
        for p in a.points:
            if not p.missing:
                value = float(angular(p.threshold.value))
                marks.append(
                    {
                        "axis": "x",
                        "value": value,
                        "label": f"FMR {fmr_words(p.fmr)}",
                        "panel": judge_name(a.judge, a.own),
                    }
                )
                ends.append(value)
    low, high = (min(ends), max(ends)) if ends else (0.0, 1.0)
    first, last = max(0, int(low * 80) - 1), min(80, int(np.ceil(high * 80)) + 1)
    for s in series:
        s["edges"], s["counts"] = s["edges"][first : last + 1], s["counts"][first:last]
    return Figure(
        "inversion_distances",
        "histogram",
        "Distance to the source, by judge",
        "Left of a threshold two pictures pass as one person. The more of the reconstructions' curve lies there, "
        "and the nearer it comes to that of two real pictures of a person, the more a template gives away.",
        "Angular distances. " + "; ".join(words) + ".",
        {
            "x": {"label": "angular distance (1 = opposite)", "scale": "linear"},
            "series": series,
            "marks": marks,
        },
        main=True,
    )


def _dots(attacks: Sequence[Attack]) -> Figure:
    rows: list[dict[str, Any]] = []
    for a in attacks:
        for p in a.points:
            for name, s in (("type I", p.one), ("type II", p.two)):
                row: dict[str, Any] = {
                    "label": f"{name}, FMR {fmr_words(p.fmr)}",
                    "group": judge_name(a.judge, a.own),
                }
                if p.missing or s is None:
                    row |= {"value": None, "missing": p.missing or "none"}
                else:
                    row |= {
                        "value": s.own.value,
                        **chart_interval(s.own.interval),
                        "n": s.own.n,
                        "accent": name == "type I",
                        "compare": s.ceiling.value,
                        "compare_label": "real picture",
                    }
                rows.append(row)
    return Figure(
        "inversion_success",
        "dots",
        "Attack success by judge and operating point",
        "Type I: the reconstruction matches the picture it was made from; type II: another picture of that "
        "person. Hollow: real pictures in its place (type I: at the inverter's resolution).",
        "; ".join(f"{r['group']}, {r['label']}: {percent(r['value'])}" for r in rows),
        {"x": {"label": "success", "scale": "linear", "percent": True, "range": [0, 1]}, "rows": rows},
    )


def _groups(groups: Sequence[Groups], chosen: Attack) -> Figure | None:
    rows: list[dict[str, Any]] = [
        {
            "label": r.group,
            "value": r.own.value,
            **chart_interval(r.own.interval),
            "n": r.own.n,
            "group": g.attribute,
        }
        for g in groups
        for r in g.rates
    ]
    if not rows:
        return None
    return Figure(
        "inversion_groups",
        "dots",
        "Type I success by group",
        f"At FMR {fmr_words(groups[0].fmr)} by {judge_name(chosen.judge, chosen.own)}. Where an inverter has seen "
        "less of a group it recovers less of it: a low rate is no protection against a better inverter.",
        "; ".join(f"{r['label']}: {percent(r['value'])}" for r in rows),
        {"x": {"label": "success, type I", "scale": "linear", "percent": True}, "rows": rows},
    )


def _sweep(swept: Sequence[Sweep]) -> Figure | None:
    judges = list(dict.fromkeys((s.judge, s.own) for s in swept))
    if len({s.guidance for s in swept}) < 2:
        return None
    panels = {
        "cosine to the source": "similarity",
        "angular distance among samples": "spread",
    }
    series, words = [], []
    for panel, field in panels.items():
        for judge, own in judges:
            mine = [s for s in swept if (s.judge, s.own) == (judge, own)]
            means = [mean_or_none(getattr(s, field), s.people) for s in mine]
            series.append(
                {
                    "name": judge_name(judge, own),
                    "panel": panel,
                    "points": True,
                    "x": [s.guidance for s in mine],
                    **chart_curve(means),
                }
            )
            if means[0] and means[-1]:
                words.append(
                    f"{panel} by {judge_name(judge, own)}: {means[0].value:.3f} at {mine[0].guidance:g}, "
                    f"{means[-1].value:.3f} at {mine[-1].guidance:g}"
                )
    return Figure(
        "inversion_guidance",
        "lines",
        "Guidance: identity against diversity",
        "Guidance is meant to bring samples nearer to the person at the price of diversity; where the left curve "
        "falls, this inverter is nearer without. Bars: 95 % intervals "
        f"over {len(np.unique(swept[0].people))} people with {swept[0].samples} samples each.",
        "; ".join(words) + ".",
        {
            "x": {"label": "guidance", "scale": "linear"},
            "y": {"label": "", "scale": "linear"},
            "series": series,
            "panels": {p: {"y": {"label": p, "scale": "linear"}} for p in panels},
        },
    )


def figures(
    verdicts: Sequence[Verdict],
    attacks: Sequence[Attack],
    chosen: Attack,
    groups: Sequence[Groups],
    swept: Sequence[Sweep],
) -> list[Figure]:
    """Distances by judge, success, groups, guidance."""
    drawn = [_histogram(verdicts, attacks), _dots(attacks), _groups(groups, chosen), _sweep(swept)]
    return [f for f in drawn if f is not None]
