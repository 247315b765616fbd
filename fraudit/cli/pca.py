"""`fraudit pca`: the compression report alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer


def pca(
    embedder: Annotated[str, typer.Option(help="Registry name, card.toml, or python:module:callable.")],
    dataset: Annotated[str, typer.Option(help="Known name or path.")] = "sample",
    weights: Annotated[Path | None, typer.Option(help="The model's weights file.")] = None,
    margin: Annotated[float, typer.Option(help="Loss of TAR, as a share, that a template may cost.")] = 0.01,
    far: Annotated[
        float | None, typer.Option(help="FAR of the TAR. [default: the smallest resolvable]")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Whole people, up to so many pictures; two people at least.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of everything random.")] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Run folder. [default: runs/COMMAND-NAME-SET-TIME]")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished run in --out.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the report's path.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the metrics as JSON.")] = False,
) -> int:
    """How few numbers of an ID vector verification needs: PCA, int8 and binary templates.

    Example: fraudit pca --embedder dlib --dataset sample --margin 0.02
    """
    from fraudit.api import audit
    from fraudit.audit.execute import exit_code
    from fraudit.audit.folders import default_run_dir
    from fraudit.audit.plan import plan_from_values
    from fraudit.progress.console import Line

    params: dict[str, Any] = {"margin": margin} | ({} if far is None else {"far": far})
    options: dict[str, Any] = {} if limit is None else {"limit": limit}
    named = plan_from_values({"embedder": embedder, "dataset": dataset}, "fraudit pca")
    with Line(quiet) as line:
        run = audit(
            embedder,
            dataset,
            weights=weights,
            only=("compression",),
            params={"compression": params},
            out=out or default_run_dir(named),
            overwrite=overwrite,
            seed=seed,
            reporter=line.reporter(),
            **options,
        )
        page = run.render()
    if as_json:
        result = run.record.result("compression")
        metrics = {
            metric.name: {
                "value": metric.value,
                "low": metric.interval.low if metric.interval else None,
                "high": metric.interval.high if metric.interval else None,
                "n": metric.n,
                "missing": metric.missing,
            }
            for metric in (result.metrics if result else ())
        }
        typer.echo(json.dumps({"run": str(run.folder), "report": str(page), "metrics": metrics}, indent=2))
    else:
        if not quiet:
            for _, finding in run.record.findings():
                typer.echo(f"[{finding.severity}] {finding.text}")
        typer.echo(f"report: {page}")
    return exit_code(run.record)


def register(app: typer.Typer) -> None:
    """Add the command of this topic."""
    app.command("pca")(pca)
