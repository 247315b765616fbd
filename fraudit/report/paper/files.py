"""Figures of a run as files for a paper, with their captions beside them."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from fraudit.errors import UsageError, suggest
from fraudit.files.store import write_bytes_atomic, write_text_atomic
from fraudit.formatting import printable
from fraudit.report.paper import draw
from fraudit.report.record import RunRecord
from fraudit.report.run import short_figure
from fraudit.report.summary import subject
from fraudit.types import AnalysisResult, Figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure as MplFigure

FORMATS = ("pdf", "svg", "png")
DPI = 300
_INCHES = {"in": 1.0, "cm": 1 / 2.54, "mm": 1 / 25.4, "pt": 1 / 72.27}
_WIDTH = re.compile(r"(\d+(?:\.\d+)?)\s*(in|cm|mm|pt)?")
LEAST_IN, MOST_IN = 1.5, 20.0


def inches(width: str) -> float:
    """`3.5in`, `89mm`, `8.9 cm` or `252pt` (TeX points) in inches; a bare number is inches.

    Raises:
        UsageError: no such length, or one that no figure fits.
    """
    found = _WIDTH.fullmatch(width.strip())
    value = float(found[1]) * _INCHES[found[2] or "in"] if found else 0.0
    if not found or not LEAST_IN <= value <= MOST_IN:
        raise UsageError(
            f"--width {width}: expected {LEAST_IN:g}in to {MOST_IN:g}in",
            "such as 3.5in, 89mm, 8.9cm or 252pt; a bare number is inches",
        )
    return value


def chosen(record: RunRecord, only: Sequence[str]) -> list[tuple[str, AnalysisResult, Figure]]:
    """(`analysis.figure`, its section, the figure) that `only` names; all of them where it is empty.

    Args:
        only: names, names with wildcards (`bias.*`), or sections.
    Raises:
        UsageError: one of them names no figure of this run.
    """
    known = [(short_figure(r.name, f.name), r, f) for r in record.results for f in r.figures]
    if not known:
        raise UsageError("this run has no figures", "`fraudit show RUN` says what each section measured")
    names = [name for name, _, _ in known]
    for wanted in only:
        if not any(_named(wanted, name) for name in names):
            raise UsageError(
                f"no figure '{wanted}' in this run", f"{suggest(wanted, names)}known: {', '.join(names)}"
            )
    return [one for one in known if not only or any(_named(wanted, one[0]) for wanted in only)]


def _named(wanted: str, name: str) -> bool:
    long = name.replace(".", f".{name.partition('.')[0]}_", 1)
    return fnmatchcase(name, wanted) or wanted == name.partition(".")[0] or wanted == long


def encoded(drawn: MplFigure, suffix: str) -> bytes:
    """The file's bytes; the same for the same figure."""
    import matplotlib

    from fraudit.report.paper.style import style

    dates = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {"Software": None}}
    stream = io.BytesIO()
    with matplotlib.rc_context(style()):
        drawn.savefig(stream, format=suffix, dpi=DPI, metadata=dates[suffix])
    return stream.getvalue()


def caption(record: RunRecord, result: AnalysisResult, figure: Figure) -> str:
    """What a caption under the figure has to say: title, what to see, and what it rests on."""
    faces = f", {result.faces:,} faces" if result.faces else ""
    rests = _ended(f"{subject(record)}{faces}; {result.title}")
    return " ".join(
        printable(part) for part in (_ended(figure.title), figure.caption, _marked(figure), rests) if part
    )


def _ended(text: str) -> str:
    """The text with one sign that ends it."""
    return text if text.endswith(("?", ".", "!")) else f"{text}."


def _marked(figure: Figure) -> str:
    """How values and intervals are drawn in a figure of this kind."""
    members = [*(figure.data.get("series") or []), *(figure.data.get("rows") or []), figure.data]
    has = any(isinstance(m, dict) and _any_number(m.get("high")) for m in members)
    if figure.kind == "heatmap":
        inside = "number and, in brackets, interval" if has else "number"
        words = f"Colour gives a cell's value; its {inside} stand{'' if has else 's'} in the cell where there is room."
        if figure.data.get("scale") == "diverging":
            words += (
                f" In smaller cells hatching marks values below {float(figure.data.get('center') or 0):g}."
            )
        return words if has else f"{words} It has no intervals."
    if not has:
        return "It has no intervals."
    return "Bands and upright lines are intervals." if figure.kind == "lines" else "Lines are intervals."


def _any_number(value: object) -> bool:
    return any(map(_any_number, value)) if isinstance(value, list) else value is not None


def write_figures(
    record: RunRecord, folder: Path, suffix: str = "pdf", width_in: float = 3.5, only: Sequence[str] = ()
) -> Iterator[Path]:
    """Write each figure as `analysis.figure.suffix` and `captions.md`; the paths as they are written.

    Raises:
        UsageError: an unknown format or figure. DataError: a figure's data does not follow docs/figures.md.
    """
    if suffix not in FORMATS:
        raise UsageError(f"--format {suffix}: expected one of {', '.join(FORMATS)}", suggest(suffix, FORMATS))
    texts = []
    for name, result, figure in chosen(record, only):
        drawn, _ = draw(figure, width_in, title=False)
        file = re.sub(r"[^A-Za-z0-9._-]+", "-", name)
        path = folder / f"{file}.{suffix}"
        write_bytes_atomic(path, encoded(drawn, suffix))
        texts.append(f"**{file}.{suffix}**: {caption(record, result, figure)}\n")
        yield path
    captions = folder / "captions.md"
    write_text_atomic(captions, "\n".join(texts))
    yield captions
