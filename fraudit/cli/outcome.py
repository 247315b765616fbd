"""What a command says of a finished run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from fraudit.report.record import RunRecord


def tell(record: RunRecord, folder: Path, page: Path, quiet: bool, as_json: bool) -> int:
    """Print what a run found and where its report is; the exit code."""
    from fraudit.audit.execute import exit_code

    if as_json:
        summary = {
            "run": str(folder),
            "report": str(page),
            "findings": [{"severity": f.severity, "text": f.text} for _, f in record.findings()],
            "analyses": {r.name: r.status for r in record.results},
            "left_out": (record.inputs.get("dataset") or {}).get("left_out") or {},
        }
        typer.echo(json.dumps(summary, indent=2))
        return exit_code(record)
    if not quiet:
        for _, finding in record.findings()[:6]:
            typer.echo(f"[{finding.severity}] {finding.text}")
        for failure in record.failures:
            typer.echo(f"[failed] {failure['analysis']}: {failure['error']}", err=True)
    if not any(result.status == "done" for result in record.results):
        for result in record.results:
            typer.echo(f"[not run] {result.name}: {result.reason}", err=True)
    typer.echo(f"report: {page}")
    return exit_code(record)
