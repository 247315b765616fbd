"""Small multiples of a comparison, from records and stored scores alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from fraudit.compare.deltas import Delta
from fraudit.compare.evidence import fnmr_curve
from fraudit.compare.sides import Side
from fraudit.formatting import number, percent
from fraudit.types import Figure, Gallery, GalleryItem, GalleryRow

HEADLINES = (
    "verification.accuracy", "verification.eer", "verification.tar@far=", "verification.fnmr@fmr=",
    "verification.fta",
)  # fmt: skip


def _figure(side: Side, name: str) -> Figure | None:
    results = side.record.results if side.record is not None else ()
    return next((f for result in results for f in result.figures if f.name == name), None)


def points(value: float) -> str:
    """A difference of two ratios in percentage points."""
    return f"{number(100 * value)} points"


def forest(new: Side, deltas: Sequence[Delta]) -> Figure | None:
    """Differences of the verification rates of one new run."""
    rows = [
        {"label": d.label.split(" (")[0], "value": d.value, "low": d.interval.low, "high": d.interval.high,
         "accent": d.verdict in ("worse", "better")}
        for d in deltas
        if d.name.startswith(HEADLINES) and not d.group and d.interval is not None and d.value is not None
    ]  # fmt: skip
    if not rows:
        return None
    shown = [f"{r['label']} {points(r['value'])}" for r in rows[:6]]
    return Figure(
        f"differences_{new.label}",
        "dots",
        f"What changed in verification with {new.label}",
        "New minus base on the same pairs, in percentage points. An interval that crosses 0 shows no difference.",
        "; ".join(shown) + ".",
        {
            "x": {"label": "new minus base", "scale": "linear", "percent": True},
            "rows": rows,
            "marks": [{"axis": "x", "value": 0.0, "label": "no change"}],
        },
        True,
    )


def det(sides: Sequence[Side]) -> Figure | None:
    """The DET curves of all runs on one pair of axes."""
    series, said, n = [], [], 0
    for at, side in enumerate(sides):
        pairs = side.evidence.pairs
        figure = _figure(side, "verification_det")
        if figure is not None:
            first = dict(figure.data["series"][0])
            first = {"name": side.label, "x": first["x"], "y": first["y"]}
        elif pairs is not None and pairs.same.any():
            x, y = fnmr_curve(pairs)
            first = {"name": side.label, "x": x.tolist(), "y": y.tolist()}
        else:
            continue
        if len(first["x"]) < 2:
            continue
        series.append({**first, "accent": at == len(sides) - 1})
        n = int((~pairs.same).sum()) if pairs is not None and pairs.same.any() else n
        said.append(f"{side.label} FNMR {percent(first['y'][0])} at FMR {number(first['x'][0])}")
    if len(series) < 2:
        return None
    data: dict[str, Any] = {
        "x": {"label": "FMR", "scale": "probit", "percent": True},
        "y": {"label": "FNMR", "scale": "probit", "percent": True},
        "series": series,
    }
    if n:
        data["marks"] = [{"axis": "x", "value": 3 / n, "label": f"rule of three: 3 of {n:,} impostor pairs"}]
    caption = "Down and to the left is better. Left of the rule of three the pairs cannot resolve the FMR."
    return Figure("det", "lines", "Detection error trade-off", caption, "; ".join(said) + ".", data)


def histograms(sides: Sequence[Side]) -> list[Figure]:
    """Score histograms, one small figure a run; scales differ between models, so axes do too."""
    found = []
    for side in sides:
        figure = _figure(side, "verification_scores")
        if figure is not None:
            found.append(replace(figure, title=f"Scores of {side.label}", caption="", main=False))
    return found if len(found) > 1 else []


def heatmaps(sides: Sequence[Side], changes: Sequence[tuple[str, Sequence[Delta]]]) -> list[Figure]:
    """FNMR by corruption and severity: every run, then the differences to the base."""
    figures = [(side, figure) for side in sides if (figure := _figure(side, "robustness_fnmr")) is not None]
    if len(figures) < 2 or figures[0][0] is not sides[0]:
        return []
    rows, columns = figures[0][1].data["rows"], figures[0][1].data["columns"]
    found = []
    for side, figure in figures:
        if set(figure.data["rows"]) != set(rows) or figure.data["columns"] != columns:
            return []
        order = [figure.data["rows"].index(row) for row in rows]
        data = {**figure.data, "rows": rows, **{k: [figure.data[k][i] for i in order] for k in ("values",)}}
        data = {k: v for k, v in data.items() if k not in ("low", "high")}
        found.append(
            replace(
                figure,
                name=f"heat_{len(found)}",
                title=f"{side.label}: FNMR",
                caption="",
                data=data,
                main=False,
            )
        )
    base = found[0].data["values"]
    for (side, _), figure in zip(figures[1:], found[1:], strict=True):
        values = [
            [None if a is None or b is None else b - a for a, b in zip(*pair, strict=True)]
            for pair in zip(base, figure.data["values"], strict=True)
        ]
        flat = [v for row in values for v in row if v is not None]
        worst = (
            f"largest increase {points(max(flat))}, largest decrease {points(-min(flat))}" if flat else "none"
        )
        shown = dict(changes).get(side.label, ())
        proven = [
            d for d in shown if d.name.startswith("robustness.fnmr.") and d.verdict in ("worse", "better")
        ]
        caption = f"New minus base. Of the single cells, {len(proven)} differ beyond their interval."
        found.append(
            Figure(
                f"heat_difference_{len(found)}", "heatmap", f"{side.label} minus {sides[0].label}", caption,
                f"Difference of FNMR by corruption and severity: {worst}.",
                {"rows": rows, "columns": columns, "values": values, "unit": "", "percent": True,
                 "scale": "diverging", "center": 0.0},
            )
        )  # fmt: skip
    return found


def group_rates(base: Side, new: Side) -> Figure | None:
    """FMR and FNMR of every group: the new run's dot with its interval, the base's as a hollow dot."""
    rows = []
    for (name, group), metric in new.metrics.items():
        parts = name.split(".")
        if parts[0] != "bias" or parts[-1] not in ("fmr", "fnmr") or not group or len(parts) != 3:
            continue
        other = base.metrics.get((name, group))
        if metric.value is None or other is None or other.value is None:
            continue
        ci = metric.interval
        rows.append(
            {"label": group, "group": parts[1].replace("_", " "), "panel": parts[-1].upper(), "value": metric.value,
             "low": ci.low if ci else None, "high": ci.high if ci else None, "n": metric.n,
             "compare": other.value, "compare_label": base.label}
        )  # fmt: skip
    if not rows:
        return None
    alt = "; ".join(
        f"{r['panel']} of {r['label']} {percent(r['value'])}, before {percent(r['compare'])}"
        for r in rows[:8]
    )
    return Figure(
        f"groups_{new.label}", "dots", f"Error rates by group, {new.label} against {base.label}",
        f"Filled: {new.label} with its 95 % interval; hollow: {base.label}. Log scale: equal steps are equal ratios.",
        alt + ".",
        {"x": {"label": "error rate", "scale": "log", "percent": True}, "rows": rows},
    )  # fmt: skip


def compression(sides: Sequence[Side]) -> Figure | None:
    """The sweeps over dimensions, one curve a run in every panel."""
    figures = [(side, f) for side in sides if (f := _figure(side, "compression_sweep")) is not None]
    if len(figures) < 2:
        return None
    first = figures[0][1]
    shared = set.intersection(*({(s.get("panel"), s["name"]) for s in f.data["series"]} for _, f in figures))
    # one curve a run and panel: the first that all have, since that is the panel's own
    leading: dict[str | None, str] = {}
    for one in first.data["series"]:
        if (one.get("panel"), one["name"]) in shared:
            leading.setdefault(one.get("panel"), one["name"])
    series = [
        {**one, "name": side.label, "panel": f"{one.get('panel') or ''}, {one['name']}".strip(", "),
         "accent": side is sides[-1]}
        for side, figure in figures
        for one in figure.data["series"]
        if leading.get(one.get("panel")) == one["name"]
    ]  # fmt: skip
    if not series:
        return None
    data = {k: v for k, v in first.data.items() if k not in ("marks", "panels")}
    axes = first.data.get("panels") or {}
    named = {
        f"{panel or ''}, {name}".strip(", "): axes[panel] for panel, name in leading.items() if panel in axes
    }
    if named:
        data["panels"] = named
    said = "; ".join(f"{side.label}: {figure.alt}" for side, figure in figures)
    return replace(
        first, name="compression", title=f"{first.title}, side by side", alt=said, data={**data, "series": series},
        main=False,
    )  # fmt: skip


def leaks(base: Side, new: Side) -> Figure | None:
    """What can be read from the vectors: selectivity of every attribute, before and after."""
    rows = []
    for (name, group), metric in new.metrics.items():
        other = base.metrics.get((name, group))
        if not name.startswith("leakage.") or not name.endswith(".selectivity") or group or other is None:
            continue
        if metric.value is None or other.value is None:
            continue
        ci = metric.interval
        rows.append(
            {"label": name.split(".")[1].replace("_", " "), "value": metric.value, "low": ci.low if ci else None,
             "high": ci.high if ci else None, "n": metric.n, "compare": other.value, "compare_label": base.label}
        )  # fmt: skip
    if not rows:
        return None
    rows.sort(key=lambda row: -row["value"])
    return Figure(
        f"leaks_{new.label}", "dots", f"What the vectors leak, {new.label} against {base.label}",
        f"Task score less control score. Filled: {new.label}; hollow: {base.label}.",
        "; ".join(f"{r['label']} {number(r['value'])}, before {number(r['compare'])}" for r in rows[:6]) + ".",
        {"x": {"label": "selectivity", "scale": "linear"}, "rows": rows,
         "marks": [{"axis": "x", "value": 0.0, "label": "no leak"}]},
    )  # fmt: skip


def _galleries(side: Side, analyses: Sequence[str]) -> Iterator[Gallery]:
    for result in side.record.results if side.record is not None else ():
        if result.name in analyses:
            yield from result.galleries


def _owned(row: GalleryRow, at: int, label: str) -> GalleryRow:
    items = tuple(GalleryItem(f"{at}:{item.artifact}", item.alt, item.lines) for item in row.items)
    return GalleryRow(label, items)


def galleries(sides: Sequence[Side], analyses: Sequence[str]) -> list[Gallery]:
    """Contact sheets that every run has, their rows one below the other; artifacts as `SIDE:NAME`."""
    own = [{g.name: g for g in _galleries(side, analyses)} for side in sides]
    found = []
    for name, first in own[0].items():
        if not all(name in sheets for sheets in own):
            continue
        rows = []
        for number_of_row, row in enumerate(first.rows):
            for at, (side, sheets) in enumerate(zip(sides, own, strict=True)):
                if number_of_row < len(sheets[name].rows):
                    words = f"{row.label}, {side.label}" if row.label else side.label
                    rows.append(_owned(sheets[name].rows[number_of_row], at, words))
        found.append(replace(first, rows=tuple(rows)))
    return found
