"""What `fraudit show` prints of a run."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from fraudit.audit.execute import exit_code
from fraudit.cli.runs import show
from fraudit.cli.screen import _figure, _wrapped
from fraudit.errors import UsageError
from fraudit.report.run import Run
from fraudit.report.summary import key_figures
from fraudit.types import AnalysisResult, Finding
from tests.fixtures.run_record import build_record, build_run


def test_a_run_is_shown_on_one_screen_and_the_rest_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, record = build_run(tmp_path / "run"), build_record()
    show(folder)
    short = capsys.readouterr().out
    assert len(short.splitlines()) <= 40
    assert all(len(line) <= 80 for line in short.splitlines() if str(folder) not in line)
    assert " ".join(short.split()).count(record.findings()[0][1].text[:60]) == 1
    assert f"{len(record.findings()) - 5} more findings" in short or len(record.findings()) <= 5
    assert "directions (not run), custom (failed)" in short
    assert f"no report yet: fraudit report {folder}" in short
    assert f"fraudit show {folder} --all" in short
    assert "verification.accuracy =" not in short
    show(folder, only="verification")
    section = capsys.readouterr().out
    assert "verification.accuracy =" in section
    assert "bias." not in section.split("\n\n", 1)[1]
    show(folder, everything=True)
    whole = capsys.readouterr().out
    assert all(f"  {metric.name}" in whole for metric in record.metrics())
    for result in record.results:
        assert result.title in whole
        assert (result.reason or result.headline) in whole
    assert all(finding.text in whole for _, finding in record.findings())
    with pytest.raises(UsageError) as refused:
        show(folder, only="verificatoin")
    assert "verification" in refused.value.hint


def test_what_to_do_next_is_said_once_and_leaves_one_screen(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = [f"{k} " + "long words of a finding " * 20 for k in range(6)]
    advice = [
        "First `fraudit doctor`. " + "Then more of it. " * 20,
        "Enrol again.",
        "Enrol again.",
        "",
        "Wait.",
    ]
    found = [Finding("high", t, advice=a) for t, a in zip(texts, [*advice, "Look."], strict=True)]
    record = replace(
        build_record(), results=[*build_record().results, AnalysisResult("x", "X", findings=tuple(found))]
    )
    record.save(tmp_path / "run")
    show(tmp_path / "run")
    short = capsys.readouterr().out
    assert len(short.splitlines()) <= 40
    assert short.count("    Next: First `fraudit doctor`.") == 1
    assert short.count("    Next: Enrol again.") == 1
    show(tmp_path / "run", everything=True)
    whole = capsys.readouterr().out
    assert whole.count("    Next: Enrol again.") == 2
    assert whole.count("    Next: Look.") == 1
    page = Run(record, tmp_path / "run")._repr_html_()
    assert page.count("<b>Next:</b> Enrol again.") == 2


@pytest.mark.parametrize("columns", [60, 80, 100, 120])
def test_no_key_figure_is_cut_and_what_has_no_room_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    folder, record = build_run(tmp_path / "run"), build_record()
    label = "FNMR at the threshold for FMR 1e-3, as a limit that somebody else's documents name: FMR 1e-4"
    results = [
        replace(r, metrics=[replace(m, label=label) if m.value is not None else m for m in r.metrics])
        for r in record.results
    ]
    replace(record, results=results).save(folder)
    show(folder)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) <= 40
    assert all(len(line) <= columns for line in lines if str(folder) not in line)
    text = " ".join(" ".join(lines).split())
    values = [v for v in key_figures(replace(record, results=results)) if v.metric is not None]
    assert len(values) > 3
    said = [v for v in values if " ".join(f"{v.figure.label} {_figure(v)}".split()) in text]
    hidden = [v for v in values if v.figure.label not in text]
    assert len(said) + len(hidden) == len(values)
    assert ("more key figures" in text) == bool(hidden)
    assert columns < 80 or not hidden


def test_a_finding_is_cut_between_words_and_never_within_a_number() -> None:
    for columns in range(60, 120):
        (*_, last) = _wrapped("FNMR is 12.345 % " * 40, columns, 3)
        assert len(last) <= columns
        assert re.search(r"(FNMR|is|12\.345 %) …$", last), last


def test_a_run_that_measured_nothing_does_not_end_as_a_success() -> None:
    record = build_record()
    assert record.failures
    assert exit_code(record) == 7
    whole = replace(record, failures=())
    assert exit_code(whole) == 0
    none = [AnalysisResult("bias", "Bias", status="not_run", reason="no attributes")]
    assert exit_code(replace(whole, results=none)) == 5
