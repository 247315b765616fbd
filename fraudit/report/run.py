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
    from matplotlib.axes import Axes


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

    @property
    def panels(self) -> list[str]:
        """Names of its panels; [''] where it is one plot."""
        from fraudit.report.paper import panels_of

        return panels_of(self.figure)

    def plot(self, ax: Axes | None = None, *, panel: str | None = None, title: bool = True) -> Any:
        """The figure on matplotlib Axes, whose values and limits are those of the data (docs/papers.md).

        Args:
            ax: Axes to draw into; by default a new pyplot figure is made.
            panel: which of its `panels`, where it has several.
            title: head it with its title.
        Returns:
            The Axes; a dict panel -> Axes where it has several panels, and neither `ax` nor `panel` is given.
        Raises:
            UsageError: `ax` is given, the figure has several panels and `panel` names none of them.
        """
        from fraudit.report.paper import NOTEBOOK_IN, draw, draw_into, new_axes

        if ax is None and panel is None:
            from matplotlib import pyplot

            _, found = draw(self.figure, NOTEBOOK_IN, title=title, make=pyplot.figure)
            return dict(found) if len(found) > 1 else next(iter(found.values()))
        return draw_into(self.figure, ax or new_axes(0.7 * NOTEBOOK_IN), panel, title=title)


class Figures(dict[str, ShownFigure]):
    """Figures by `analysis.name`; a name as the record spells it (`verification.verification_det`) is found too."""

    def __missing__(self, name: str) -> ShownFigure:
        short = short_figure(*name.split(".", 1)) if "." in name else name
        if short == name or short not in self:
            raise UsageError(
                f"no figure '{name}' in this run", suggest(name, self) or "run.figures lists them"
            )
        return self[short]


def short_figure(analysis: str, name: str) -> str:
    """`verification.det` for the figure `verification_det` of verification."""
    return f"{analysis}.{name.removeprefix(f'{analysis}_') or name}"


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
    def figures(self) -> Figures:
        """`analysis.figure` -> a figure that shows itself in a notebook and plots itself on matplotlib Axes."""
        return Figures(
            (short_figure(result.name, figure.name), ShownFigure(figure))
            for result in self.record.results
            for figure in result.figures
        )

    def figure(self, name: str) -> ShownFigure:
        """One figure by `analysis.figure`. Raises UsageError with the nearest name suggested."""
        return self.figures[name]

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
