"""Tables of the twins analysis."""

from __future__ import annotations

from typing import Any

import numpy as np

from fraudit.analyses.shared.words import interval_ends
from fraudit.analyses.twins.measure import Measured
from fraudit.analyses.twins.report import RATES, WAYS, change_words
from fraudit.analyses.twins.verdict import Change
from fraudit.formatting import fmr_words
from fraudit.types import Column, Table

CONDITIONS = "twins_conditions"


def tables(m: Measured, worst: int) -> tuple[Table, ...]:
    """Conditions, thresholds and flips, the faces seen most differently, groups."""
    out = [_conditions(m), _points(m)]
    if m.cosines is not None:
        if worst:
            out.append(_worst(m, worst))
        if m.cosines_by_group:
            out.append(_groups(m))
    return tuple(out)


def _row(c: Change, decides: str) -> dict[str, Any]:
    return {
        "rate": RATES[c.rate],
        "way": WAYS[c.way] if c.fmr else "both models",
        "fmr": fmr_words(c.fmr) if c.fmr else "",
        "first": c.first,
        "second": c.second,
        "change": c.usual.value if c.usual else c.second - c.first,
        "interval": interval_ends(c.usual.interval) if c.usual else None,
        "limit": c.limit,
        "state": c.state,
        "at_most": "1 point" if c.limit == 0.01 else f"{100 * c.limit:g} points",
        "decides": decides,
        "said": change_words(c),
        "missing": {"interval": c.reason},
    }


def _conditions(m: Measured) -> Table:
    rows = [_row(c, "place") for c in m.place if m.alike]
    rows += [_row(c, "own") for c in m.own if c.rate != "lost" or not m.alike]
    return Table(
        CONDITIONS,
        "What has to hold",
        (
            Column("rate", "rate"),
            Column("way", "of"),
            Column("fmr", "FMR target"),
            Column("first", "old model", "percent", 4),
            Column("second", "new", "percent", 4),
            Column("change", "change", "points", 4),
            Column("interval", "95 % interval", "interval"),
            Column("limit", "at most", "points", 4),
            Column("state", "state"),
        ),
        tuple(rows),
        "Interchangeable where all at the old threshold are kept; needs its own threshold where one of these is broken "
        "and all at thresholds of their own are kept; different where one of those is broken.",
    )


def _points(m: Measured) -> Table:
    rows = []
    for p in m.points:
        row: dict[str, Any] = {"fmr": fmr_words(p.cut.target), "first": p.cut.first, "second": p.cut.second}
        if m.alike:
            n = p.strangers.ways["first"].n
            row |= {
                "mixed": p.cut.mixed,
                "flips": p.flips.share,
                "flips_interval": interval_ends(p.flips.interval),
                "genuine": f"{p.flips.lost:,} / {p.flips.gained:,}",
                "strangers": f"{p.strangers.lost:,} / {p.strangers.gained:,} of {n:,}",
            }
        rows.append(row)
    columns = [
        Column("fmr", "FMR target"),
        Column("first", "old threshold", "number", 4),
        Column("second", "new model's own", "number", 4),
    ]
    if m.alike:
        columns += [
            Column("mixed", "old against new", "number", 4),
            Column("flips", "genuine pairs that flip", "percent"),
            Column("flips_interval", "95 % interval", "interval"),
            Column("genuine", "accepted by the old / the new alone"),
            Column("strangers", "strangers matched by the old / the new alone"),
        ]
    note = "Flips: decisions that differ, both models at the old threshold." if m.alike else ""
    return Table("twins_thresholds", "Thresholds and decisions that flip", tuple(columns), tuple(rows), note)


def _worst(m: Measured, count: int) -> Table:
    assert m.cosines is not None
    order = np.argsort(m.cosines.cosines, kind="stable")[:count]
    rows = [{"id": m.ids[m.rows[i]], "cosine": float(m.cosines.cosines[i])} for i in order]
    return Table(
        "twins_worst",
        "Faces that both models see most differently",
        (Column("id", "picture"), Column("cosine", "cosine", "number", 6)),
        tuple(rows),
    )


def _groups(m: Measured) -> Table:
    changes = {c.group: c for c in m.group_changes}
    rows = []
    for g in m.cosines_by_group:
        c = changes.get(f"{g.attribute}: {g.group}")
        rows.append(
            {
                "group": f"{g.attribute}: {g.group}",
                "faces": g.faces,
                "people": g.people,
                "cosine": g.mean,
                "cosine_interval": interval_ends(g.interval),
                "first": c.first if c else None,
                "second": c.second if c else None,
                "change": c.usual.value if c and c.usual else None,
                "interval": interval_ends(c.usual.interval) if c and c.usual else None,
            }
        )
    return Table(
        "twins_groups",
        "By group",
        (
            Column("group", "group"),
            Column("faces", "faces", "integer"),
            Column("people", "people", "integer"),
            Column("cosine", "mean cosine of the same face", "number", 5),
            Column("cosine_interval", "95 % interval", "interval", 5),
            Column("first", "FNMR, old model", "percent"),
            Column("second", "new, at the old threshold", "percent"),
            Column("change", "change", "points"),
            Column("interval", "95 % interval", "interval"),
        ),
        tuple(rows),
        "FNMR at the strictest FMR target that is judged.",
    )
