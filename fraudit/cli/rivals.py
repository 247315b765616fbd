"""`fraudit rivals`: every inversion method on one protocol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fraudit.audit.plan import AuditPlan

# Why an option has its least value, as the hint of its error.
_WHY = {
    "people": "chance is a match with somebody else's template: --people 12",
    "samples": "how much a template's pictures vary is measured among them: --samples 2",
    "questions": "an inverter trained before asks nothing: --methods linear,id3pm",
    "pool": "attacks learn from these faces: --pool 1000",
}


def rivals(
    embedder: Annotated[
        str | None, typer.Option(help="Registry name, card.toml, or python:module:callable.")
    ] = None,
    scorer: Annotated[
        str | None,
        typer.Option(
            help="A box that only compares: card.toml or python:module:callable; attacked by scores alone."
        ),
    ] = None,
    dataset: Annotated[str, typer.Option(help="Known name or path.")] = "sample",
    weights: Annotated[Path | None, typer.Option(help="The model's weights file.")] = None,
    methods: Annotated[
        list[str] | None, typer.Option(help="Only these (comma or repeated). [default: all that can run]")
    ] = None,
    inverter: Annotated[
        list[str] | None, typer.Option(help="Folder of a trained inverter that joins, such as an RBF one.")
    ] = None,
    judge: Annotated[list[str] | None, typer.Option(help="Independent embedder that judges.")] = None,
    local: Annotated[
        str | None, typer.Option(help="Model of the attacker's own, for attacks that see scores alone.")
    ] = None,
    generator: Annotated[
        str | None,
        typer.Option(
            help="Your own generator for latent search: StyleGAN2's tensors, or ONNX (z to picture)."
        ),
    ] = None,
    people: Annotated[
        int | None, typer.Option(help="Whose templates are inverted, at least 2. [default: 12]")
    ] = None,
    samples: Annotated[
        int | None, typer.Option(help="Pictures of each template, at least 2. [default: 2]")
    ] = None,
    max_queries: Annotated[
        int | None, typer.Option(help="Questions an attack may ask for a picture, at least 1. [default: 400]")
    ] = None,
    pool: Annotated[
        int | None,
        typer.Option(help="Faces shown beforehand, shared by all pictures, at least 2. [default: 1000]"),
    ] = None,
    param: Annotated[list[str] | None, typer.Option(help="rivals.NAME=VALUE.")] = None,
    detector: Annotated[str | None, typer.Option(help="yunet, dlib, mtcnn or scrfd.")] = None,
    pictures: Annotated[
        str | None, typer.Option(help="Show pictures in the report: auto (sets that show nobody), none, all.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Whole people, up to so many pictures; two people at least.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random. [default: 0]")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Run folder. [default: runs/COMMAND-NAME-SET-TIME]")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished run in --out.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --scorer: say how many scores are asked, and stop.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the report's path.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> int:
    """Compare every inversion method of the literature for one model: same faces, judges, thresholds, questions.

    Example: fraudit rivals --embedder dlib --dataset sample
    """
    from fraudit.analyses.rivals.params import Params
    from fraudit.audit.folders import default_run_dir
    from fraudit.audit.plan import parse_params, plan_from_values
    from fraudit.audit.runner import run_plan
    from fraudit.cli.analyze import split
    from fraudit.cli.options import check_options
    from fraudit.cli.outcome import tell
    from fraudit.errors import UsageError
    from fraudit.progress.board import of_a_run
    from fraudit.report.render import render

    params = parse_params(param or [])
    for name in params:
        if name != "rivals":
            raise UsageError(f"--param {name}: expected parameters of rivals", "--param rivals.NAME=VALUE")
    asked: dict[str, Any] = {
        "methods": split(methods) or None,
        "inverters": tuple(inverter) if inverter else None,
        "local": local,
        "generator": generator,
        "people": people,
        "samples": samples,
        "questions": max_queries,
        "pool": pool,
    }
    typed = {k: v for k, v in asked.items() if v is not None}
    check_options("rivals", Params, typed, {"questions": "--max-queries"}, _WHY)
    own = {**params.get("rivals", {}), **typed}
    given: dict[str, Any] = {
        "embedder": embedder or None,
        "dataset": dataset,
        "weights": str(weights) if weights else None,
        "only": ("rivals",),
        "params": {"rivals": own},
        "judges": tuple(judge) if judge else None,
        "detector": detector,
        "pictures": pictures,
        "limit": limit,
        "seed": seed,
    }
    stated = {k: v for k, v in given.items() if v is not None}
    if scorer is not None:
        from fraudit.cli.rivals_scorer import rivals_scorer

        return rivals_scorer(scorer, stated, own, out, dry_run=dry_run, quiet=quiet, as_json=as_json)
    if embedder is None:
        raise UsageError(
            "missing --embedder", "--embedder dlib, or --scorer card.toml for a box that only compares"
        )
    if dry_run:
        raise UsageError("--dry-run goes with --scorer", "--max-queries bounds what a model is asked")
    plan = plan_from_values(stated, "fraudit rivals")
    _check(plan, split(methods), inverter or [], local)
    folder = out or default_run_dir(plan)
    with of_a_run(quiet) as line:
        record = run_plan(plan, folder, overwrite=overwrite, reporter=line.reporter())
        page = render(folder)
    return tell(record, folder, page, quiet, as_json)


def _check(plan: AuditPlan, methods: tuple[str, ...], inverters: list[str], local: str | None) -> None:
    """What can be told before a model is loaded. Raises FrauditError."""
    from fraudit.embedding.loading import find_embedder
    from fraudit.errors import UsageError, suggest
    from fraudit.inverters.loading import read_card
    from fraudit.plugins import INVERTERS

    known = [plugin.name for plugin in INVERTERS.usable() if plugin.method is not None]
    for name in methods:
        if name not in known:
            raise UsageError(
                f"--methods: unknown method '{name}'", f"{suggest(name, known)}known: {', '.join(known)}"
            )
    for folder in inverters:
        read_card(Path(folder))
    if local is not None:
        if local == plan.embedder:
            raise UsageError(f"--local {local}: it is the audited model itself", "name another model")
        find_embedder(local, None)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("rivals")(rivals)
