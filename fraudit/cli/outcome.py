"""What a command says of a finished run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from fraudit.errors import InsufficientData
    from fraudit.report.record import RunRecord
    from fraudit.types import AnalysisResult


SHOWN = 6  # findings, the severest first; the report has all


def tell(record: RunRecord, folder: Path, page: Path, quiet: bool, as_json: bool) -> int:
    """Print what a run found and where its report is; the exit code.

    Raises:
        InsufficientData: the one analysis that was asked for did not run.
    """
    from fraudit.audit.execute import exit_code

    alone = record.results[0] if len(record.results) == 1 and record.results[0].status == "not_run" else None

    if as_json:
        summary = {
            "run": str(folder),
            "report": str(page),
            "findings": [{"severity": f.severity, "text": f.text} for _, f in record.findings()],
            "analyses": {r.name: r.status for r in record.results},
            "left_out": (record.inputs.get("dataset") or {}).get("left_out") or {},
        }
        typer.echo(json.dumps(summary, indent=2))
    if not quiet and not as_json:
        findings = record.findings()
        for _, finding in findings[:SHOWN]:
            typer.echo(f"[{finding.severity}] {finding.text}")
        if (more := len(findings) - SHOWN) > 0:
            typer.echo(f"and {more} more finding{'s' if more > 1 else ''} in the report")
    if not as_json:
        _tell_missing(record, quiet, alone is not None)
        typer.echo(f"report: {page}")
    if alone is not None:
        raise not_run(alone)
    return exit_code(record)


def not_run(result: AnalysisResult) -> InsufficientData:
    """The error of a command whose one analysis did not run."""
    from fraudit.errors import InsufficientData

    return InsufficientData(
        f"{result.name} was not run: {result.reason}",
        "another set (--dataset) or model may have what it needs; the report is kept",
    )


def _tell_missing(record: RunRecord, quiet: bool, alone: bool) -> None:
    """What failed, and where nothing was done why: progress names it, and says nothing where it is quiet."""
    nothing = not any(result.status == "done" for result in record.results)
    for result in record.results:
        if result.status == "failed" or (result.status == "not_run" and nothing and quiet and not alone):
            typer.echo(f"[{result.status.replace('_', ' ')}] {result.name}: {result.reason}", err=True)
            hint = next((f.get("hint") for f in record.failures if f.get("analysis") == result.name), "")
            if hint:
                typer.echo(f"hint: {hint}", err=True)
