"""Figures of the identification analysis."""

from __future__ import annotations

from typing import Any

from fraudit.analyses.identification.measure import Found
from fraudit.formatting import fmr_words, percent
from fraudit.types import Figure


def figures(found: Found) -> list[Figure]:
    """Growth with N, ranks, enrolment rules."""
    out = [_ranks(found)] if found.ranks else []
    if found.growth and found.main is not None:
        out.insert(0, _growth(found))
    if len(found.enrolments) > 1:
        out.append(_enrolments(found))
    return out


def _growth(found: Found) -> Figure:
    at = fmr_words(found.growth[0].target)
    series: list[dict[str, Any]] = []
    said = []
    for g in found.growth:
        ends = [p.interval for p in g.points]
        panel = g.kind.upper()
        series.append(
            {
                "name": "measured",
                "panel": panel,
                "accent": True,
                "points": True,
                "x": [p.people for p in g.points],
                "y": [p.value for p in g.points],
                "low": [e.low if e else None for e in ends],
                "high": [e.high if e else None for e in ends],
            }
        )
        last = g.points[-1]
        both = (f"{percent(p.value)} at {p.people:,} people" for p in (g.points[0], last))
        said.append(f"{panel} {', '.join(both)}")
        if g.test is not None:
            x, y = [g.test.fitted, g.test.people], [_at(g.points, g.test.fitted), g.test.predicted]
            low, high = [None, g.test.interval.low], [None, g.test.interval.high]
            said.append(f"predicted from a quarter {percent(g.test.predicted)}")
            if g.further is not None:
                x.append(g.further.people)
                y.append(g.further.value)
                low.append(g.further.interval.low)
                high.append(g.further.interval.high)
                said.append(f"{percent(g.further.value)} expected at {g.further.people:,}")
            series.append(
                {
                    "name": "predicted",
                    "panel": panel,
                    "points": True,
                    "x": x,
                    "y": y,
                    "low": low,
                    "high": high,
                }
            )
    axis = {"label": "people enrolled", "scale": "log"}
    why = {
        f"{g.kind.upper()} has no interval ({p.missing})" for g in found.growth for p in g.points if p.missing
    }
    without = "".join(f" {reason}." for reason in sorted(why))
    fitted = " The prediction was fitted on a quarter of them." if any(g.test for g in found.growth) else ""
    return Figure(
        "identification_growth",
        "lines",
        "What happens as the gallery grows",
        f"FPIR and FNIR at the threshold for FPIR {at} against the number of enrolled people.{fitted}{without}",
        "; ".join(said) + ".",
        {"x": axis, "y": {"label": "rate", "scale": "linear", "percent": True}, "series": series},
        main=True,
    )


def _at(points: Any, people: float) -> float:
    return float(min(points, key=lambda p: abs(p.people - people)).value)


def _ranks(found: Found) -> Figure:
    x = [rank for rank, _ in found.ranks]
    y = [1 - rate.value for _, rate in found.ranks]
    ends = [rate.interval for _, rate in found.ranks]
    series = {
        "name": "mate within rank",
        "accent": True,
        "points": True,
        "x": x,
        "y": y,
        "low": [1 - e.high if e else None for e in ends],
        "high": [1 - e.low if e else None for e in ends],
    }
    return Figure(
        "identification_cmc",
        "lines",
        "Cumulative match characteristic",
        "Share of mated searches whose mate is within the rank, without a threshold.",
        "; ".join(f"rank {rank}: {percent(value)}" for rank, value in zip(x, y, strict=True)) + ".",
        {
            "x": {"label": "rank", "scale": "log"},
            "y": {"label": "share", "scale": "linear", "percent": True},
            "series": [series],
        },
    )


def _enrolments(found: Found) -> Figure:
    words = {"mean": "mean", "best": "best score", "quality": "by length"}
    rows: list[dict[str, Any]] = []
    for e in found.enrolments:
        i = e.fnir.interval
        name = "1 picture" if e.pictures == 1 else f"{e.pictures} pictures, {words[e.rule]}"
        rows.append(
            {
                "label": name,
                "value": e.fnir.value,
                "low": i.low if i else None,
                "high": i.high if i else None,
                "n": e.fnir.n,
            }
        )
    at = fmr_words(found.main.chosen.target) if found.main else ""
    return Figure(
        "identification_enrolment",
        "dots",
        "How many pictures to enrol, and how",
        f"FNIR (rank 1) at FPIR {at} by enrolment rule, each with its own threshold.",
        "; ".join(f"{r['label']}: {percent(r['value'])}" for r in rows) + ".",
        {"x": {"label": "FNIR", "scale": "linear", "percent": True}, "rows": rows},
    )
