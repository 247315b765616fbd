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
    nothing = not any(result.status == "done" for result in record.results)
    for result in record.results:  # progress names what failed, and says why the others were not run
        if result.status == "failed" or (result.status == "not_run" and nothing and quiet):
            typer.echo(f"[{result.status.replace('_', ' ')}] {result.name}: {result.reason}", err=True)
    typer.echo(f"report: {page}")
    return exit_code(record)
