"""The report: self-contained, escaped, complete, and readable without what is missing."""

from __future__ import annotations

import csv
import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fraudit import formatting
from fraudit.errors import DataError
from fraudit.report import summary
from fraudit.report.record import RunRecord
from fraudit.report.render import (
    PICTURE_BUDGET,
    Pictures,
    cell,
    csv_text,
    figure_before,
    figure_html,
    guarded,
    md,
    metric_interval,
    render,
    ticked,
)
from fraudit.types import (
    AT_LEAST,
    UNCERTAIN,
    AnalysisResult,
    Column,
    Figure,
    Finding,
    Interval,
    Metric,
    Table,
)
from tests.fixtures.run_record import HOSTILE, build_record, build_run


class Page(HTMLParser):
    """Tags, ids, links and text of a page."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    folder = build_run(tmp_path_factory.mktemp("run"))
    render(folder)
    return folder


@pytest.fixture(scope="module")
def page(run_dir):
    return (run_dir / "report" / "index.html").read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_its_ids_are_unique(page):
    parsed = Page(page)
    assert parsed.open == []
    ids = [attrs["id"] for _, attrs in parsed.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    anchors = {attrs["href"][1:] for tag, attrs in parsed.tags if tag == "a"}
    assert anchors <= set(ids)


def test_nothing_is_fetched_and_the_file_is_small(page):
    for _, attrs in Page(page).tags:
        for name in ("src", "href", "srcset", "data", "action"):
            assert not attrs.get(name) or attrs[name].startswith(("#", "data:image/"))
    assert "@import" not in page
    assert not re.search(r"url\(\s*['\"]?(?!#)", page)
    assert len(page.encode()) < 5_000_000


def test_hostile_names_stay_text(page):
    parsed = Page(page)
    assert [tag for tag, _ in parsed.tags].count("script") == 1
    assert HOSTILE.split(" $")[0] in "".join(parsed.words)
    assert not any(name.startswith("on") for _, attrs in parsed.tags for name in attrs)


def test_every_analysis_has_a_section_also_those_that_did_not_run(page):
    sections = [attrs["id"] for tag, attrs in Page(page).tags if tag == "section"]
    assert sections == [
        *(r.name for r in build_record().results),
        "model-card",
        "data-card",
        "limits",
        "provenance",
    ]
    assert "needs attributes; lfw declares none" in page
    assert "expected 512 columns, found 128" in page


def test_the_first_screen_has_verdict_cards_and_all_key_figures(page):
    first = page[: page.index('<section id="verification"')]
    assert first.count('<li class="act ') == 5
    assert "3 more findings in the sections below" in first
    assert first.count('<div class="key">') == 7
    assert "99.30\u202f%" in first
    assert first.index("2.1 times that for men") < first.index("Worst corruption: medical mask")


def test_pictures_are_inlined_and_lost_ones_said(page):
    images = [attrs for tag, attrs in Page(page).tags if tag == "img"]
    assert len(images) == 6 + 15
    assert all(attrs["src"].startswith("data:image/webp;base64,") and attrs["alt"] for attrs in images)
    assert "picture not stored" in page
    assert "not an artifact of this run" in page


def test_a_picture_outside_the_run_or_over_the_budget_is_not_read(tmp_path):
    (tmp_path / "artifacts").mkdir()
    (tmp_path / "secret.png").write_bytes(b"x")
    (tmp_path / "artifacts" / "big.png").write_bytes(b"x" * 100)
    pictures = Pictures(tmp_path / "artifacts", budget=150)
    for name in ("../secret.png", "/etc/passwd", "a/b.png", ".png", "big.svg", "..png/../../secret.png"):
        assert pictures.uri(name)[0] == ""
    assert pictures.uri("big.png")[0]
    assert pictures.uri("big.png") == ("", "left out to keep this file small")
    assert pictures.left_out == 1
    assert PICTURE_BUDGET * 4 / 3 < 4_200_000


def test_the_same_run_renders_to_the_same_bytes(run_dir, tmp_path):
    again = tmp_path / "copy"
    shutil.copytree(run_dir, again, ignore=shutil.ignore_patterns("report"))
    index = render(again)
    assert index == again / "report" / "index.html"
    for name in ("index.html", "report.md", "results.csv"):
        assert (again / "report" / name).read_bytes() == (run_dir / "report" / name).read_bytes()


def test_rendering_needs_neither_torch_nor_weights_nor_pictures(tmp_path):
    build_record().save(tmp_path)
    code = (
        "import sys, pathlib\n"
        "from fraudit.report.render import render\n"
        "render(pathlib.Path(sys.argv[1]))\n"
        "print([m for m in ('torch', 'onnxruntime', 'cv2', 'scipy', 'pandas', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_a_record_with_nothing_in_it_still_renders(tmp_path):
    RunRecord(plan={}, environment={}, inputs={}, status="incomplete").save(tmp_path)
    text = render(tmp_path).read_text()
    assert "Incomplete run." in text
    assert "No analysis ran to its end, so nothing can be concluded." in text
    assert text.count('<div class="key">') == 0


def test_a_figure_that_cannot_be_drawn_does_not_take_the_report_with_it(tmp_path):
    broken = Figure(
        "f", "heatmap", "Broken", "c", "a", {"rows": ["<b>"], "columns": [], "values": [[1], [2]]}
    )
    result = AnalysisResult("x", "X", figures=(broken,))
    RunRecord({}, {}, {}, (result,)).save(tmp_path)
    assert "This chart could not be drawn. figure f (heatmap)" in render(tmp_path).read_text()


def test_no_run_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no run at"):
        render(tmp_path / "none")
    with pytest.raises(DataError, match=r"expected a folder with run\.json"):
        render(tmp_path)


def test_csv_files_guard_formulas_and_keep_numbers(run_dir):
    with (run_dir / "report" / "results.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(build_record().metrics())
    by_name = {row["name"]: row for row in rows}
    assert float(by_name["verification.threshold@fmr=1e-3"]["value"]) == -0.213
    assert by_name["verification.fnmr@fmr=1e-4"]["value"] == ""
    assert by_name["bias.hostile.fmr"]["group"] == HOSTILE
    with (run_dir / "report" / "tables" / "bias-groups.csv").open(newline="") as stream:
        groups = [row["Group"] for row in csv.DictReader(stream)]
    assert groups[1] == '\'=HYPERLINK("http://x")'


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_texts_a_spreadsheet_would_run_are_quoted(text):
    assert guarded(text).startswith("'")
    assert csv_text(["a"], [[-1.5]]) == "a\n-1.5\n"


def test_markdown_takes_hostile_text_literally(run_dir):
    text = (run_dir / "report" / "report.md").read_text()
    assert "<script" not in text.replace("\\<script", "")
    assert "- **High** (Bias): At the threshold" in text
    assert (
        "| FNMR at the resolvable FMR | 2.1\u202f% | 1.5 to 2.9\u202f% | 3,000 | FNMR at FMR 1e-3 |" in text
    )
    tables = [block for block in re.split(r"\n\s*\n", text) if block.lstrip().startswith("|")]
    for block in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.strip().splitlines()}
        assert len(widths) == 1, block
    assert md("a|b\n<i>*x*") == r"a\|b \<i\>\*x\*"


def test_a_figure_shows_itself_in_a_notebook():
    figure = next(r for r in build_record().results if r.name == "bias").figures[0]
    html = figure_html(figure)
    assert html.startswith("<figure")
    assert html.count("<svg") == 1
    assert "<script" not in html


def metric(name: str, value: float | None, **more: object) -> Metric:
    return Metric(name, value, **({"missing": "no pairs"} if value is None else {}), **more)


def record_of(*results: AnalysisResult) -> RunRecord:
    return RunRecord({}, {}, {"embedder": {"name": "m"}, "dataset": {"name": "d"}}, results)


def test_the_resolvable_fnmr_is_the_one_at_the_lowest_fmr_that_has_a_value():
    result = AnalysisResult(
        "verification",
        "V",
        metrics=tuple(
            metric(f"verification.fnmr@fmr={x}", v)
            for x, v in (("1e-1", 0.1), ("1e-3", 0.3), ("1e-4", None), ("1e-2", 0.2))
        ),
    )
    values = {k.figure.label: k for k in summary.key_figures(record_of(result))}
    assert values["FNMR at the resolvable FMR"].metric.value == 0.3
    assert values["Accuracy over folds"].reason == "verification ran and gave no such figure"
    assert "Attack success" not in values  # no section of it was asked for


def test_a_missing_key_figure_gives_its_reason():
    result = AnalysisResult("compression", "C", metrics=(metric("compression.safe_dim", None),))
    failed = AnalysisResult("leakage", "L", "failed", reason="DataError: x")
    reasons = {k.analysis: k.reason for k in summary.key_figures(record_of(result, failed))}
    assert reasons["compression"] == "no pairs"
    assert reasons["leakage"] == "failed: DataError: x"


def test_an_interval_that_is_known_to_be_too_wide_or_narrow_says_so():
    plain, wide, narrow = (
        Metric("a", 0.5, interval=Interval(0.4, 0.6, 0.95, f"t 9{said}"))
        for said in ("", f", {AT_LEAST}", f", {UNCERTAIN}")
    )
    assert metric_interval(narrow) == "0.40 to 0.60, at least this uncertain"
    assert metric_interval(plain) == "0.40 to 0.60"
    assert metric_interval(wide) == "0.40 to 0.60, at least this certain"
    assert metric_interval(wide, words=False) == "0.40 to 0.60"  # beside the method, which has the words


def test_notes_only_fill_the_cards_up_to_three():
    def shown(*severities: str) -> list[str]:
        findings = tuple(Finding(severity, "t") for severity in severities)
        cards, more = summary.cards(record_of(AnalysisResult("a", "A", findings=findings)))
        assert len(cards) + more == len(severities)
        return [finding.severity for _, finding in cards]

    assert shown("info", "info", "good", "high", "info") == ["high", "info", "info"]
    assert shown(*["low"] * 5, "info") == ["low"] * 5
    assert shown(*["medium"] * 9) == ["medium"] * 5
    assert shown() == []


def test_the_verdict_counts_and_names_by_rule():
    high = AnalysisResult("b", "Bias", findings=(Finding("high", "t"), Finding("low", "t")))
    fine = AnalysisResult("v", "Verification", findings=(Finding("good", "t"),))
    off = AnalysisResult("i", "Inversion", "not_run", reason="no inverter")
    assert summary.verdict(record_of(high, fine, off)) == (
        "2 findings to act on: 1 of high severity (Bias), 1 of low severity (Bias). "
        "2 of 3 analyses ran; Inversion did not run."
    )
    assert (
        summary.verdict(record_of(fine))
        == "No finding above the severity 'info'. The one analysis asked for ran."
    )
    assert summary.subject(record_of(fine)) == "m on d"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.993, "99.30\u202f%"),
        (0.0213, "2.1\u202f%"),
        (0.0021, "0.21\u202f%"),
        (1.0, "100\u202f%"),
        (0.5, "50.0\u202f%"),
        (None, "—"),
    ],
)
def test_percent(value, text):
    assert formatting.percent(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-0.213, "−0.213"), (1234.0, "1,234"), (2.1, "2.10"), (0.00012, "1.2e-4"), (64, "64")],
)
def test_number(value, text):
    assert formatting.number(value) == text


def test_intervals_saytwo_digits_of_their_width():
    assert formatting.interval(0.989, 0.996, as_percent=True) == "98.9 to 99.6\u202f%"
    assert formatting.interval(1.4, 3.0) == "1.4 to 3.0"
    assert formatting.interval(None, 1.0) == ""
    assert Interval(1.4, 3.0).level == 0.95


def test_the_record_carries_provenance_into_the_page(page):
    document = json.loads(build_record().to_json())
    for value in (document["environment"]["command"], "a" * 64, "d" * 64, "no face found", "Apache-2.0"):
        assert value in page.replace('<span class="nb">--', "--").replace("</span>", "")


def test_what_rounds_to_nothing_has_no_sign_and_is_no_certainty():
    assert formatting.number(-0.0002, 3) == "0.000"
    assert formatting.number(-0.02, 3) == "\u22120.020"
    assert formatting.probability(0.0002) == "< 0.001"
    assert formatting.probability(0.02) == "0.020"


def test_groups_are_worded_unless_one_is_a_code_among_several():
    assert formatting.group_words(["male=0", "male=1"]) == {"male=0": "not male", "male=1": "male"}
    codes = formatting.group_words(["race=0", "race=1", "race=2"])
    assert codes == {"race=0": "race 0", "race=1": "race 1", "race=2": "race 2"}


def test_a_headline_is_said_once_and_the_gravest_finding_comes_first(tmp_path):
    said = "Nothing is lost here (95 % interval 0 to 1)."
    findings = (Finding("info", said, (), "x.a"), Finding("high", "A grave one.", (), "x.b"))
    record_of(AnalysisResult("x", "X", headline=said, findings=findings)).save(tmp_path)
    section = render(tmp_path).read_text(encoding="utf-8").partition('<section id="x"')[2]
    section = section.partition("</section>")[0]
    assert section.count("Nothing is lost here (95\u202f% interval") == 1
    assert section.index("A grave one.") < section.index("Nothing is lost")


def test_each_of_two_intervals_of_a_percentage_is_in_percent() -> None:
    columns = (
        Column("rate", "FNMR", "percent", 3),
        Column("plain", "95 %", "interval"),
        Column("wide", "95 %, threshold included", "interval"),
    )
    row = {"rate": 0.05, "plain": [0.03, 0.08], "wide": [0.02, 0.1]}
    table = Table("t", "T", columns, (row,))
    texts = [cell(c, row, figure_before(c, table)) for c in columns]
    assert texts[1:] == ["3.00 to 8.00\u202f%", "2.00 to 10.00\u202f%"]


def test_an_option_stays_on_one_line_wherever_it_stands() -> None:
    """A browser breaks a line after each of its hyphens; a minus, a range and a name with hyphens are left alone."""
    assert str(ticked("none (--judge), `fraudit x --max-queries 5`")) == (
        'none (<span class="nb">--judge</span>), <code>fraudit x <span class="nb">--max-queries</span> 5</code>'
    )
    assert str(ticked("at 1e-3, a--b, 1--2, card-two <b>")) == (
        'at <span class="nb">1e-3</span>, a--b, 1--2, card-two &lt;b&gt;'
    )


def test_every_option_of_a_page_stays_on_one_line(tmp_path) -> None:
    """In findings, reasons, caveats, notes of tables and charts, and the command."""
    said = "give one (--judge)"
    columns = (Column("a", "A"), Column("b", "B", "number"))
    table = Table("t", "T", columns, ({"a": said, "b": None, "missing": {"b": said}},), said)
    metrics = (
        Metric("x.a", None, missing=said, label="A"),
        Metric("x.b", 1.0, n=3, n_unit="people", interval_missing=said, label="B"),
    )
    figure = Figure("x.f", "bars", "F", said, "alt", {"rows": []})
    result = AnalysisResult(
        "x", "X", headline=said, findings=(Finding("low", said, (), "x.r", said),), metrics=metrics,
        tables=(table,), figures=(figure,), caveats=(said,), method=said,
    )  # fmt: skip
    absent = AnalysisResult("y", "Y", status="not_run", reason=said)
    record = replace(build_record(), results=(result, absent))
    record.save(tmp_path)
    page = render(tmp_path).read_text(encoding="utf-8")
    body = re.sub(
        r"<(script|style)\b.*?</\1>|<[^>]*>",
        "",
        page.replace('<span class="nb">--judge</span>', "~"),
        flags=re.S,
    )
    assert body.count("(~)") >= 10
    assert "--judge" not in body


def test_a_difference_of_shares_is_in_points_and_so_is_its_interval() -> None:
    """As sentences say it: 1 % more of a rate of 5 % would be 0.05 points."""
    columns = (
        Column("rate", "FNMR", "percent"),
        Column("change", "change", "points"),
        Column("interval", "95 %", "interval"),
    )
    row = {"rate": 0.05, "change": -0.0213, "interval": [-0.03, 0.001]}
    table = Table("t", "T", columns, (row,))
    texts = [cell(c, row, figure_before(c, table)) for c in columns]
    assert texts == ["5.00\u202f%", "\u22122.13\u202fpoints", "\u22123.00 to 0.10\u202fpoints"]


def test_no_column_of_differences_is_in_percent() -> None:
    """A change or loss of a share is in points, as sentences say it."""
    wrong = []
    for path in (Path(__file__).parents[2] / "fraudit" / "analyses").rglob("*.py"):
        for label in re.findall(r'Column\([^,]+, f?"([^"]*)", "percent"', path.read_text(encoding="utf-8")):
            if re.search(r"\b(change|above|less|loss|gained)\b", label, re.IGNORECASE):
                wrong.append(f"{path.parent.name}: {label}")
    assert wrong == []
