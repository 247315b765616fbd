"""What `fraudit show` prints of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from fraudit.audit.execute import exit_code
from fraudit.cli.runs import show
from fraudit.errors import UsageError
from fraudit.types import AnalysisResult
from tests.fixtures.run_record import build_record, build_run


def test_a_run_is_shown_by_findings_and_sections_and_its_metrics_on_request(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, record = build_run(tmp_path / "run"), build_record()
    show(folder)
    short = capsys.readouterr().out
    for result in record.results:
        assert result.title in short
        assert (result.reason or result.headline) in short
    assert all(finding.text in short for _, finding in record.findings())
    assert "verification.accuracy =" not in short
    show(folder, only="verification")
    section = capsys.readouterr().out
    assert "verification.accuracy =" in section
    assert "bias." not in section.split("\n\n", 1)[1]
    show(folder, everything=True)
    whole = capsys.readouterr().out
    assert all(f"  {metric.name}" in whole for metric in record.metrics())
    with pytest.raises(UsageError) as refused:
        show(folder, only="verificatoin")
    assert "verification" in refused.value.hint


def test_a_run_that_measured_nothing_does_not_end_as_a_success() -> None:
    record = build_record()
    assert record.failures
    assert exit_code(record) == 7
    whole = replace(record, failures=())
    assert exit_code(whole) == 0
    none = [AnalysisResult("bias", "Bias", status="not_run", reason="no attributes")]
    assert exit_code(replace(whole, results=none)) == 5
