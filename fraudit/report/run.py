"""A run in a person's hands: its record, its folder, pandas views, figures that show themselves."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fraudit.errors import UsageError, suggest
from fraudit.report.record import RunRecord
from fraudit.report.summary import subject
from fraudit.types import AnalysisResult, Figure

if TYPE_CHECKING:
    import pandas as pd


def said(record: RunRecord) -> str:
    """`dlib on sample, 7 sections done, 1 not run, 12 findings`."""
    count = Counter(result.status for result in record.results)
    parts = [f"{count['done']} sections done"]
    parts += [f"{count[s]} {s.replace('_', ' ')}" for s in ("not_run", "failed") if count[s]]
    findings = sum(len(result.findings) for result in record.results)
    return f"{subject(record)}, {', '.join(parts)}, {findings} findings"


@dataclass(frozen=True, slots=True)
class ShownFigure:
    """A figure that draws itself in a notebook."""

    figure: Figure

    def __repr__(self) -> str:
        return f"<figure '{self.figure.title}'; in a notebook it draws itself>"

    def _repr_html_(self) -> str:
        from fraudit.report.render import figure_html

        return figure_html(self.figure)


@dataclass(frozen=True, slots=True)
class Run:
    """One audit.

    Attributes:
        record: the single source of truth, as saved in run.json.
        folder: run folder with run.json, scores.csv, vectors.npz and artifacts.
    """

    record: RunRecord
    folder: Path

    def __repr__(self) -> str:
        return f"<Run: {said(self.record)}; {self.folder}>"

    def _repr_html_(self) -> str:
        from fraudit.report.run_html import run_html

        return run_html(self.record, self.folder)

    @property
    def results(self) -> dict[str, AnalysisResult]:
        """Analysis name -> result."""
        return {result.name: result for result in self.record.results}

    @property
    def failures(self) -> tuple[Mapping[str, Any], ...]:
        """Analyses that failed, each with its error."""
        return tuple(self.record.failures)

    @property
    def metrics(self) -> pd.DataFrame:
        """All metrics: analysis, name, group, value, low, high, level, n, unit, missing."""
        return self.record.frame()

    @property
    def findings(self) -> pd.DataFrame:
        """Findings by severity: analysis, severity, text, evidence, rule."""
        import pandas as pd

        rows = [
            (result.name, f.severity, f.text, ", ".join(f.evidence), f.rule)
            for result, f in self.record.findings()
        ]
        return pd.DataFrame(rows, columns=["analysis", "severity", "text", "evidence", "rule"])

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """`analysis.table` -> DataFrame with the table's columns."""
        import pandas as pd

        return {
            f"{result.name}.{table.name}": pd.DataFrame(
                [dict(row) for row in table.rows], columns=[c.key for c in table.columns]
            )
            for result in self.record.results
            for table in result.tables
        }

    @property
    def figures(self) -> dict[str, ShownFigure]:
        """`analysis.figure` -> a figure that shows itself in a notebook."""
        return {
            f"{result.name}.{figure.name}": ShownFigure(figure)
            for result in self.record.results
            for figure in result.figures
        }

    def figure(self, name: str) -> ShownFigure:
        """One figure by `analysis.figure`. Raises UsageError with the nearest name suggested."""
        figures = self.figures
        if name not in figures:
            raise UsageError(f"no figure '{name}' in this run", suggest(name, figures))
        return figures[name]

    def save(self, folder: str | Path) -> Path:
        """Copy the run folder to `folder`, which must not exist or be empty. The new folder."""
        target = Path(folder)
        if target.resolve() == self.folder.resolve():
            return target
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise UsageError(f"{target} exists and is not empty", "choose another folder")
        shutil.copytree(self.folder, target, dirs_exist_ok=True)
        return target

    def render(self) -> Path:
        """Write report/index.html, report.md and the CSV files; the path of the HTML page."""
        from fraudit.report.render import render

        return render(self.folder)
