"""Runs that are put into one figure: opened, told apart by name, asked for their figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fraudit.errors import DataError, UsageError
from fraudit.formatting import printable

if TYPE_CHECKING:
    from fraudit.report.record import RunRecord
    from fraudit.report.run import Run
    from fraudit.types import Figure


@dataclass(frozen=True, slots=True)
class Side:
    """One run with the name that it has in the figure."""

    label: str
    record: RunRecord

    def figure(self, analysis: str, name: str) -> Figure:
        """One of its figures. Raises DataError where the run has none, with why where it is known."""
        result = self.record.result(analysis)
        if result is None:
            raise DataError(f"{self.label}: this run has no section {analysis}", "run it with that analysis")
        found = next((figure for figure in result.figures if figure.name == name), None)
        if found is None:
            why = f": {result.reason}" if result.reason else ""
            raise DataError(f"{self.label}: {analysis} has no figure '{name}'{why}", "see the run's report")
        return found

    def n_of(self, start: str) -> tuple[int, str] | None:
        """(n, its unit) of the first metric of all faces whose name starts so, or None."""
        for metric in self.record.metrics():
            if metric.name.startswith(start) and not metric.group and metric.n:
                return metric.n, metric.n_unit
        return None

    def largest_n(self, unit: str) -> int | None:
        """The largest n of verification's metrics counted in `unit`, or None."""
        result = self.record.result("verification")
        sizes = [m.n for m in (result.metrics if result else ()) if m.n_unit == unit and m.n]
        return max(sizes, default=None)


def sides_of(runs: Sequence[Run | Path | str], labels: Sequence[str] | None) -> list[Side]:
    """The runs with their names: what is given, else the model with what tells the runs apart.

    Raises:
        UsageError: no runs, or other labels than runs. DataError: a folder that holds no run.
    """
    from fraudit.report.record import RunRecord

    if isinstance(runs, str | Path) or not isinstance(runs, Sequence):
        raise UsageError(f"expected a list of runs, found {type(runs).__name__}", "such as [run_a, run_b]")
    if not runs:
        raise UsageError("expected at least one run, found none", "pass runs or their folders")
    if labels is not None and (len(labels) != len(runs) or len(set(labels)) != len(labels)):
        raise UsageError(f"expected {len(runs)} different labels, found {', '.join(labels) or 'none'}")
    records = [RunRecord.load(run) if isinstance(run, str | Path) else run.record for run in runs]
    folders = [str(run) if isinstance(run, str | Path) else str(run.folder) for run in runs]
    named = list(labels) if labels is not None else _names(records, folders)
    return [Side(printable(name), record) for name, record in zip(named, records, strict=True)]


def _names(records: Sequence[RunRecord], folders: Sequence[str]) -> list[str]:
    models = [str(record.input_fact("embedder", "name") or "unnamed model") for record in records]
    data = [str(record.input_fact("dataset", "name") or "unnamed data") for record in records]
    names = models if len(set(data)) == 1 else [f"{m} on {d}" for m, d in zip(models, data, strict=True)]
    if len(set(names)) == len(names):
        return names
    names = [f"{name}, {Path(folder).name}" for name, folder in zip(names, folders, strict=True)]
    if len(set(names)) == len(names):
        return names
    return [f"{name}, run {k}" for k, name in enumerate(names, 1)]
