"""Figures over several runs for papers and notebooks: `from fraudit import plots; plots.det([run_a, run_b])`.

Each function takes runs (`fraudit.api.open_run`, `audit`) or their folders, draws into `ax` or a new pyplot figure,
and returns matplotlib Axes. They draw the records' own figures with their intervals; nothing is measured here, and
intervals that overlap are no test: `fraudit compare` has the paired difference. Importing this is instant.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fraudit.errors import DataError, UsageError, suggest
from fraudit.plots.sides import Side, sides_of
from fraudit.report.paper import draw_into, new_axes
from fraudit.types import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from fraudit.report.run import Run

__all__ = ["compression", "det", "group_rates", "robustness"]


def det(
    runs: Sequence[Run | Path | str], ax: Axes | None = None, *, labels: Sequence[str] | None = None
) -> Axes:
    """DET curves on probit axes, one line a run, with the band of FNMR, both n, and what the pairs can resolve.

    Args:
        runs: runs that have a DET curve (verification ran and both errors occurred).
        ax: Axes to draw into; a new pyplot figure by default.
        labels: names in the legend; by default the model, with what else tells the runs apart.
    Raises:
        UsageError: no runs, or other labels than runs. DataError: a run has no DET curve.
    """
    sides = sides_of(runs, labels)
    series: list[dict[str, Any]] = []
    limits: dict[float, dict[str, Any]] = {}
    for side in sides:
        figure = side.figure("verification", "verification_det")
        marks = [m for m in figure.data.get("marks") or [] if str(m["label"]).startswith("rule of three")]
        limits |= {mark["value"]: mark for mark in marks}
        for one in figure.data["series"]:
            genuine = one.get("n") or side.largest_n("genuine pairs")
            n = [f"{int(genuine):,} genuine"] if genuine else []
            n += [f"{round(3 / mark['value']):,} impostor pairs" for mark in marks[:1]]
            name = f"{side.label} ({', '.join(n)})" if n else side.label
            series.append({**one, "name": name, "accent": False, "n": None, "n_unit": ""})
    data = {**figure.data, "series": series, "marks": list(limits.values())}
    return _drawn(Figure("det", "lines", "Detection error trade-off", "", "", data), ax)


def group_rates(
    runs: Sequence[Run | Path | str],
    ax: Axes | None = None,
    *,
    rate: str = "FMR",
    labels: Sequence[str] | None = None,
) -> Axes:
    """Error rate of every group at one threshold, one marker a run, with interval and n.

    Args:
        runs: runs whose bias section ran. ax, labels: as for `det`.
        rate: `FMR` or `FNMR`.
    Raises:
        UsageError: another rate, no runs. DataError: a run has no such rates.
    """
    if rate not in ("FMR", "FNMR"):
        raise UsageError(f"rate={rate!r}: expected FMR or FNMR", suggest(rate, ("FMR", "FNMR")))
    blocks: dict[str, list[dict[str, Any]]] = {}
    sides = sides_of(runs, labels)
    for side in sides:
        figure = side.figure("bias", "rates")
        rows = [row for row in figure.data["rows"] if row.get("panel") == rate]
        if not rows:
            raise DataError(f"{side.label}: the bias section has no {rate} by group", "see its report")
        for row in rows:
            several = len({r.get("group") for r in rows}) > 1
            group = f"{row.get('group')}: {row['label']}" if several else row["label"]
            blocks.setdefault(group, []).append({**row, "run": side.label})
    axis = {**figure.data["x"], "label": rate}
    marks = [m for m in figure.data.get("marks") or [] if m.get("panel", rate) == rate]
    title = f"{rate} by group at one threshold"
    return _rows(title, axis, blocks, sides, marks, ax)


def robustness(
    runs: Sequence[Run | Path | str],
    ax: Axes | None = None,
    *,
    severity: int | None = None,
    most: int = 12,
    labels: Sequence[str] | None = None,
) -> Axes:
    """FNMR under each corruption at one severity, one marker a run, the most harmful first.

    Args:
        runs: runs whose robustness section ran. ax, labels: as for `det`.
        severity: which; by default the greatest that all runs have.
        most: corruptions drawn, those that hurt any run most.
    Raises:
        UsageError: no runs, a severity that not all have. DataError: a run has no FNMR under corruptions.
    """
    sides = sides_of(runs, labels)
    grids = [side.figure("robustness", "robustness_fnmr").data for side in sides]
    shared = [c for c in grids[0]["columns"] if all(c in grid["columns"] for grid in grids)]
    column = shared[-1] if severity is None and shared else f"severity {severity}"
    if column not in shared:
        raise UsageError(f"not all of these runs have {column}", f"shared: {', '.join(shared) or 'none'}")
    names = [row for row in grids[0]["rows"] if all(row in grid["rows"] for grid in grids)]
    found: dict[str, list[dict[str, Any]]] = {}
    for name in names:
        for side, grid in zip(sides, grids, strict=True):
            at = grid["rows"].index(name), grid["columns"].index(column)
            ends = {key: (grid.get(key) or {}) and grid[key][at[0]][at[1]] for key in ("low", "high")}
            value = grid["values"][at[0]][at[1]]
            found.setdefault(name, []).append({"value": value, **ends, "run": side.label})
    ranked = sorted(found, key=lambda name: -max(row["value"] or 0.0 for row in found[name]))[:most]
    axis = {"label": f"FNMR at {column}, clean threshold", "scale": "linear", "percent": True}
    sizes = [side.n_of("robustness.fnmr.") for side in sides]
    title = f"FNMR under corruption, {column}"
    return _rows(title, axis, {name: found[name] for name in ranked}, sides, [], ax, sizes)


def compression(
    runs: Sequence[Run | Path | str],
    ax: Axes | None = None,
    *,
    against: str = "axes",
    labels: Sequence[str] | None = None,
) -> Axes:
    """TAR at the run's FAR against the size of a template, one line a run, with intervals.

    Args:
        runs: runs whose compression section ran, all at one FAR. ax, labels: as for `det`.
        against: `axes` (principal axes kept, float32) or `bytes` (PCA and int8).
    Raises:
        UsageError: another `against`, no runs. DataError: a run has no such curve, or another FAR.
    """
    if against not in ("axes", "bytes"):
        raise UsageError(f"against={against!r}: expected axes or bytes", suggest(against, ("axes", "bytes")))
    sides = sides_of(runs, labels)
    series: list[dict[str, Any]] = []
    rates: list[str] = []
    axis: dict[str, Any] = {}
    for side in sides:
        figure = side.figure("compression", "compression_sweep" if against == "axes" else "compression_bytes")
        wanted = "PCA" if against == "axes" else "PCA + int8"
        lines = [
            s for s in figure.data["series"]
            if s["name"] == wanted and (against == "bytes" or str(s.get("panel", "")).startswith("TAR"))
        ]  # fmt: skip
        if not lines:
            raise DataError(f"{side.label}: the compression section has no TAR", "it needs identities")
        rates.append(str(lines[0]["panel"] if against == "axes" else figure.data["y"]["label"]))
        n = side.n_of("compression.tar@")
        extra = {"n": n[0], "n_unit": n[1]} if n else {}
        series.append({**lines[0], "name": side.label, "panel": None, "accent": False, **extra})
        axis = figure.data["x"]
    if len(set(rates)) > 1:
        raise DataError(
            f"the runs state TAR at different rates: {', '.join(sorted(set(rates)))}",
            "run them with the same --param compression.far",
        )
    share = {"label": rates[0], "scale": "linear", "percent": True}
    data = {"x": axis, "y": share, "series": series, "marks": []}
    title = "What is left of a template cut short"
    return _drawn(Figure("compression", "lines", title, "", "", data), ax)


def _drawn(figure: Figure, ax: Axes | None) -> Axes:
    return draw_into(figure, ax or new_axes(4.2))


def _rows(
    title: str,
    axis: dict[str, Any],
    blocks: dict[str, list[dict[str, Any]]],
    sides: Sequence[Side],
    marks: list[dict[str, Any]],
    ax: Axes | None,
    sizes: Sequence[tuple[int, str] | None] | None = None,
) -> Axes:
    from fraudit.report.paper.several import rows_of_several

    names = [
        f"{side.label} (n = {size[0]:,} {size[1]})" if size else side.label
        for side, size in zip(sides, sizes or [None] * len(sides), strict=True)
    ]
    by_run = {side.label: name for side, name in zip(sides, names, strict=True)}
    told = {name: [{**row, "run": by_run[row["run"]]} for row in rows] for name, rows in blocks.items()}
    height = 0.9 + 0.17 * sum(max(1.0, 0.8 * len(sides)) for _ in blocks)
    return rows_of_several(title, axis, told, names, marks, ax or new_axes(max(2.0, height)))
