"""From a run's folder to its report: HTML, Markdown and CSV, from the record and its artifacts alone."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, TemplateError, select_autoescape
from markupsafe import Markup, escape

from fraudit import formatting
from fraudit.errors import DataError
from fraudit.files.doors import check_regular, entering, read_file
from fraudit.files.store import write_bytes_atomic, write_files_atomic
from fraudit.report import cards, charts, executive, standards, summary
from fraudit.report.charts import kept
from fraudit.report.charts.spots import Reading
from fraudit.report.explorer import explorer
from fraudit.report.marking import ticked, whole
from fraudit.report.record import METRIC_COLUMNS, RunRecord, metric_rows
from fraudit.types import (
    SEVERITIES,
    AnalysisResult,
    Column,
    Figure,
    Finding,
    Gallery,
    Metric,
    Table,
    gravity,
)

PICTURE_BUDGET = 3_000_000  # bytes of artifacts inlined; base64 adds a third, the whole stays below 5 MB
_ARTIFACT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*\.(webp|jpg|jpeg|png)")
_PROBABILITY = re.compile(r"p\b")  # a column of p values: `p`, `p, Holm`
_MIME = {"webp": "image/webp", "jpg": "image/jpeg", "jpeg": "image/jpeg", "png": "image/png"}
SEVERITY_WORDS = {"high": "High", "medium": "Medium", "low": "Low", "info": "Note", "good": "Good"}


class Pictures:
    """Artifacts as data URIs, until the report's budget is spent."""

    def __init__(self, folder: Path, budget: int = PICTURE_BUDGET) -> None:
        self._folder = folder
        self._left = budget
        self.left_out = 0

    def uri(self, name: str) -> tuple[str, str]:
        """(data URI, '') or ('', why the picture is not shown)."""
        match = _ARTIFACT.fullmatch(name)
        if not match:
            return "", "not an artifact of this run"
        path = self._folder / name
        try:
            if check_regular(path) > self._left:
                self.left_out += 1
                return "", "left out to keep this file small"
            blob = read_file(path, self._left)
        except DataError:
            return "", "picture not stored"
        self._left -= len(blob)
        return f"data:{_MIME[match[1]]};base64,{base64.b64encode(blob).decode()}", ""


class Anchors:
    """An id that is unique in the page for each thing of a section."""

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)

    def __call__(self, section: str, name: str) -> str:
        found = start = f"{slug(section)}-{slug(name.removeprefix(f'{section}_'))}"
        count = 1
        while found in self._taken:
            count += 1
            found = f"{start}-{count}"
        self._taken.add(found)
        return found


@dataclass(frozen=True, slots=True)
class Part:
    """What a section shows in one place, in this order."""

    figures: Sequence[Figure] = ()
    galleries: Sequence[Gallery] = ()
    tables: Sequence[Table] = ()

    @property
    def count(self) -> int:
        """How many things it holds."""
        return len(self.figures) + len(self.galleries) + len(self.tables)

    @property
    def words(self) -> str:
        """`2 more figures, 1 sheet of pictures and 3 tables`."""
        named = (
            (self.figures, "more figure", "more figures"),
            (self.galleries, "sheet of pictures", "sheets of pictures"),
            (self.tables, "table", "tables"),
        )
        said = [f"{len(held)} {one if len(held) == 1 else many}" for held, one, many in named if held]
        return " and ".join([", ".join(said[:-1]), said[-1]] if len(said) > 1 else said)


def opening(result: AnalysisResult) -> tuple[Part, Part]:
    """(what a section opens with, what it folds): one figure, else one sheet of pictures, else one table."""
    figures = sorted(result.figures, key=lambda figure: not figure.main)
    galleries, tables = list(result.galleries), list(result.tables)
    if figures:
        return Part(figures=figures[:1]), Part(figures[1:], galleries, tables)
    if galleries:
        return Part(galleries=galleries[:1]), Part((), galleries[1:], tables)
    return Part(tables=tables[:1]), Part(tables=tables[1:])


class Drawings:
    """Figures as inline SVG with ids that are unique in the page.

    Args:
        known: figures whose drawings are remembered between renderings (`fraudit.report.charts.kept`).
    """

    def __init__(self, known: Sequence[Figure] = ()) -> None:
        self._count = 0
        self._known = kept.drawings(known, (charts.WIDE_PX, charts.NARROW_PX), charts.draw)
        self._reading = Reading()

    def __call__(self, figure: Figure, width_px: int) -> Markup:
        self._count += 1
        try:
            known = self._known.get(kept.name_of(figure, width_px)) if self._known else None
            drawn = charts.svg(figure, width_px, f"c{self._count}", self._reading, known)
        except DataError as error:
            return Markup('<p class="notrun">This chart could not be drawn. {}</p>').format(error.message)
        return Markup(drawn)  # charts.svg escapes every text it is given


def cell(column: Column, row: Mapping[str, Any], before: Column | None = None) -> str:
    """A table's cell as text; the decimals are the column's.

    Args:
        before: the figure's column (`figure_before`); an interval is in its unit, so points after points.
    """
    value = row.get(column.key)
    if value is None:
        return formatting.MISSING
    if column.kind == "interval":
        if isinstance(value, Mapping):
            value = [value.get("low"), value.get("high")]
        if isinstance(value, list) and len(value) == 2 and None not in value:
            if before is not None and before.kind in ("percent", "points"):
                low, high = (100 * float(end) for end in value)
                digits, unit = max(0, before.digits - 1), "%" if before.kind == "percent" else "points"
                return f"{formatting.number(low, digits)} to {formatting.number(high, digits)}\u202f{unit}"
            return " to ".join(formatting.number(float(end), column.digits) for end in value)
        return formatting.MISSING if isinstance(value, list) else str(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        if column.kind == "percent":
            return formatting.percent(value, max(0, column.digits - 1))
        if column.kind == "points":
            return formatting.points(value, max(0, column.digits - 1))
        if column.kind == "integer":
            return formatting.number(value, 0)
        if column.kind == "bytes":
            return formatting.size_bytes(value)
        if column.kind == "number" and _PROBABILITY.match(column.label):
            return formatting.probability(value, column.digits)
        return formatting.number(value, column.digits if column.kind == "number" else None)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)


def figure_before(column: Column, table: Table) -> Column | None:
    """The nearest column to the left that is no interval: the figure that an interval column is of."""
    at = table.columns.index(column)
    return next((c for c in reversed(table.columns[:at]) if c.kind != "interval"), None)


def sort_key(column: Column, row: Mapping[str, Any]) -> str:
    """What the page's script sorts a cell by."""
    value = row.get(column.key)
    if isinstance(value, list) and value:
        value = value[0]
    return "" if value is None else f"{value}"


def footnotes(table: Table) -> dict[str, int]:
    """Reason -> its mark, in order of appearance, for the cells without a value."""
    reasons: dict[str, int] = {}
    for row in table.rows:
        missing = row.get("missing")
        for column in table.columns:
            reason = missing.get(column.key) if isinstance(missing, Mapping) else None
            if row.get(column.key) is None and reason:
                reasons.setdefault(str(reason), len(reasons) + 1)
    return reasons


def note_of(column: Column, row: Mapping[str, Any], notes: Mapping[str, int]) -> int | None:
    """The footnote's mark of a cell without a value, or None."""
    missing = row.get("missing")
    if row.get(column.key) is not None or not isinstance(missing, Mapping):
        return None
    return notes.get(str(missing.get(column.key)))


def metric_value(metric: Metric, as_percent: bool = False, as_points: bool = False) -> str:
    """A metric's value with its unit."""
    return formatting.with_unit(metric.value, metric.unit, as_percent=as_percent, as_points=as_points)


def metric_interval(
    metric: Metric, as_percent: bool = False, as_points: bool = False, words: bool = True
) -> str:
    """`0.015 to 0.029`, with `at least this certain` or `uncertain` where known and `words` asks for it; or ''."""
    ends = metric.interval
    if ends is None:
        return ""
    text = formatting.interval(ends.low, ends.high, metric.unit, as_percent=as_percent, as_points=as_points)
    return f"{text}, {ends.reservation}" if words and ends.reservation else text


def facts(value: Any, depth: int = 0) -> str:
    """A plain value of plan, inputs or environment in words."""
    if value is None or value == "" or value == [] or value == {}:
        return formatting.MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return "; ".join(f"{key.replace('_', ' ')}: {facts(item, depth + 1)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(facts(item, depth + 1) for item in value)
    if isinstance(value, float):
        return formatting.short(value)
    return str(value).replace("`", "'")


def ranked(findings: Iterable[Finding]) -> list[Finding]:
    """The gravest findings first, else in the analysis' own order."""
    return sorted(findings, key=gravity)


def md(value: Any) -> str:
    """Text that Markdown takes literally, on one line."""
    text = " ".join(formatting.printable(value).split())
    return re.sub(r"([\\`*_\[\]<>|#&])", r"\\\1", text)


def code_span(value: Any) -> str:
    """A code span that holds any text, on one line."""
    text = " ".join(formatting.printable(value).split()).replace("|", "\\|")
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence} {text} {fence}" if "`" in text else f"{fence}{text}{fence}"


def csv_text(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """CSV; texts that a spreadsheet would run as a formula get an apostrophe before them."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([guarded(column) for column in columns])
    for row in rows:
        writer.writerow([guarded(value) for value in row])
    return stream.getvalue()


def guarded(value: Any) -> Any:
    """A CSV cell that no spreadsheet takes for a formula; numbers stay numbers."""
    if value is None:
        return ""
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | dict):
        value = json.dumps(value)
    text = formatting.printable(value)
    return formatting.sheet_text(text)


def slug(text: str) -> str:
    """A file name or anchor out of a name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "x"


def environment(*, autoescape: bool) -> Environment:
    """Jinja with the report's templates and filters; a missing name is an error, not a blank."""
    jinja = Environment(
        loader=PackageLoader("fraudit.report", "templates"),
        autoescape=select_autoescape(("j2", "html")) if autoescape else False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    jinja.filters.update(
        cell=cell,
        figure_before=figure_before,
        counts_words=formatting.counts_words,
        number=formatting.number,
        percent=formatting.percent,
        seconds=formatting.seconds,
        facts=facts,
        ranked=ranked,
        opening=opening,
        slug=slug,
        metric_value=metric_value,
        metric_interval=metric_interval,
        md=md,
        ticked=ticked,
        whole=whole,
        standard_links=standards.links,
        code_span=code_span,
    )
    jinja.globals.update(
        sort_key=sort_key,
        footnotes=footnotes,
        note_of=note_of,
        severity_words=SEVERITY_WORDS,
        wide_px=charts.WIDE_PX,
        narrow_px=charts.NARROW_PX,
        missing=formatting.MISSING,
        documents=standards.DOCUMENTS,
        no_claim=standards.NO_CLAIM,
        never_recorded=cards.NEVER_RECORDED,
    )
    if autoescape:
        jinja.finalize = _finalized
    return jinja


def _finalized(value: Any) -> Any:
    return formatting.unbroken(formatting.printable(value)) if type(value) is str else value


def context(record: RunRecord) -> dict[str, Any]:
    """What every template sees."""
    shown, more = summary.cards(record)
    return {
        "record": record,
        "title": summary.subject(record),
        "verdict": summary.verdict(record),
        "cards": shown,
        "more": more,
        "keys": summary.key_figures(record),
        "rated": any(finding.severity in SEVERITIES[:3] for _, finding in shown),
        "audited": executive.audited(record),
        "answers": executive.answers(record),
        "limits": executive.limits(record),
        "model_card": cards.model_card(record),
        "data_card": cards.data_card(record),
        "dataset": record.inputs.get("dataset") or {},
        "embedder": record.inputs.get("embedder") or {},
        "env": record.environment,
    }


def html_text(record: RunRecord, artifacts: Path) -> str:
    """The whole report as one HTML file's text."""
    pictures = Pictures(artifacts)
    found, absent = explorer(record, artifacts)
    template = environment(autoescape=True).get_template("report.html.j2")
    anchor = Anchors(
        ["main", "summary", "explorer", *standards.PARTS, *(slug(r.name) for r in record.results)]
    )
    return template.render(
        **context(record),
        draw=Drawings([figure for result in record.results for figure in result.figures]),
        anchor=anchor,
        pictures=pictures,
        found=found,
        absent=absent,
        parts={*standards.PARTS} - (set() if found else {"explorer"}),
    )


def markdown_text(record: RunRecord) -> str:
    """The report's findings, figures and provenance as Markdown."""
    return environment(autoescape=False).get_template("report.md.j2").render(**context(record))


def figure_html(figure: Figure) -> str:
    """One figure as an HTML fragment, for notebooks."""
    drawn = charts.svg(figure)
    return (
        f'<figure style="margin:0 0 1em">'
        f"<figcaption><strong>{escape(formatting.printable(figure.title))}</strong></figcaption>"
        f"{drawn}<figcaption>{escape(formatting.printable(figure.caption))}</figcaption></figure>"
    )


def _files(record: RunRecord) -> dict[str, str]:
    """Relative name -> text of what lies beside the page."""
    files = {"report.md": markdown_text(record)}
    rows = [row.values() for result in record.results for row in metric_rows(result)]
    files["results.csv"] = csv_text(METRIC_COLUMNS, rows)
    for result in record.results:
        for table in result.tables:
            name = f"tables/{slug(result.name)}-{slug(table.name)}"
            while f"{name}.csv" in files:
                name += "-2"
            body = ([row.get(column.key) for column in table.columns] for row in table.rows)
            files[f"{name}.csv"] = csv_text([column.label for column in table.columns], body)
    return files


def render(run_dir: Path | str) -> Path:
    """Write `report/` into a run's folder; returns the path of index.html.

    Needs run.json and artifacts/ alone. Writes index.html (last), report.md, results.csv, tables/*.csv.

    Raises:
        DataError: there is no run, its schema does not fit, or a figure's data cannot be drawn.
    """
    run_dir = Path(run_dir)
    if not run_dir.is_dir():
        raise DataError(
            f"no run at {run_dir}: expected a folder with run.json",
            "`fraudit runs` lists the runs that are known",
        )
    record = RunRecord.load(run_dir)
    out = run_dir / "report"
    with entering(
        f"{run_dir}/run.json holds what no report can show", "run it again", DataError, TemplateError
    ):
        page = html_text(record, run_dir / "artifacts")
        files = _files(record)
    write_files_atomic({out / name: text.encode() for name, text in files.items()})
    index = out / "index.html"
    write_bytes_atomic(index, page.encode())
    return index
