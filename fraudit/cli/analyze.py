"""`fraudit analyze` and `fraudit analyses`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fraudit.cli.engines import Address, Engine, Place, Workers, engine_of

if TYPE_CHECKING:
    from fraudit.audit.plan import AuditPlan


def split(values: list[str] | None) -> tuple[str, ...]:
    """`["a,b", "c"]` -> ("a", "b", "c")."""
    return tuple(part.strip() for value in values or [] for part in value.split(",") if part.strip())


def analyze(
    embedder: Annotated[
        str | None, typer.Option(help="Registry name, card.toml, or python:module:callable.")
    ] = None,
    scorer: Annotated[
        str | None, typer.Option(help="Instead: a box that only compares pictures (docs/scorers.md).")
    ] = None,
    max_queries: Annotated[int | None, typer.Option(help="Queries a --scorer may cost at most.")] = None,
    vectors: Annotated[
        Path | None,
        typer.Option(help="Instead: an .npz of ids and vectors of --dataset's pictures (docs/formats.md)."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Known name or path. [default: sample]")] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="File of pairs to verify instead of the set's own (docs/formats.md).")
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="Folders above a picture: person, person/*, */person, ... or none.")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="The model's weights file.")] = None,
    plan: Annotated[Path | None, typer.Option(help="TOML file with the same options; these win.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only these analyses (comma or repeated).")] = None,
    skip: Annotated[list[str] | None, typer.Option(help="Not these analyses.")] = None,
    no_doctor: Annotated[
        bool, typer.Option("--no-doctor", help="Do not check first that the model is wired right.")
    ] = False,
    param: Annotated[
        list[str] | None, typer.Option(help="ANALYSIS.NAME=VALUE, e.g. robustness.severities=1,3,5")
    ] = None,
    quality: Annotated[Path | None, typer.Option(help="CSV that OFIQ wrote of these pictures.")] = None,
    enrol: Annotated[
        list[str] | None, typer.Option(help="Condition that is enrolled: normal, or LABEL=VALUE.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="Hold it to a named plan too: nist-800-63a-4 or iso-19795-10.")
    ] = None,
    judge: Annotated[
        list[str] | None, typer.Option(help="Independent embedder that judges inversions.")
    ] = None,
    other: Annotated[
        str | None, typer.Option(help="A second model to compare with: as --embedder, a run folder or .npz.")
    ] = None,
    other_weights: Annotated[Path | None, typer.Option(help="The second model's weights file.")] = None,
    inverter: Annotated[str | None, typer.Option(help="auto, linear, id3pm, all, none, or a folder.")] = None,
    detector: Annotated[str | None, typer.Option(help="yunet, dlib, mtcnn or scrfd.")] = None,
    several_faces: Annotated[str | None, typer.Option(help="most_central, largest or highest_score.")] = None,
    pictures: Annotated[
        str | None, typer.Option(help="Show pictures in the report: auto (sets that show nobody), none, all.")
    ] = None,
    max_faces: Annotated[int | None, typer.Option(help="Faces an expensive analysis takes at most.")] = None,
    limit: Annotated[
        int | None, typer.Option(help="Whole people, up to so many pictures; two people at least.")
    ] = None,
    distinct: Annotated[
        bool,
        typer.Option("--distinct", help="State that every picture of an unnamed set shows another person."),
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Of everything random. [default: 0]")] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder. [default: runs/NAME-SET-TIME]")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a finished run in --out.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan, and what it will ask, and stop.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only the report's path.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
    engine: Engine = "local",
    address: Address = "",
    store: Place = "",
    workers: Workers = None,
) -> int:
    """Audit a model and write the report.

    Example: fraudit analyze --embedder dlib --dataset sample --out runs/first
    """
    from fraudit.audit.plan import parse_params, plan_from_toml, plan_from_values
    from fraudit.cli.shortcuts import every_method, left_out, with_request, with_shortcuts
    from fraudit.errors import UsageError

    if not (embedder or scorer or vectors or plan or as_json or quiet or dry_run):
        from fraudit.cli.asking import ask, can_ask

        if can_ask():
            embedder, dataset = ask(dataset)
    own = with_shortcuts(parse_params(param or []), quality, enrol, profile)
    inverter, asked = every_method(inverter, with_request(split(only), profile), own)
    given: dict[str, Any] = {
        "embedder": embedder,
        "dataset": dataset,
        "pairs": str(pairs) if pairs else None,
        "layout": layout,
        "weights": str(weights) if weights else None,
        "only": asked or None,
        "skip": left_out(split(skip), no_doctor),
        "params": own or None,
        "judges": tuple(judge) if judge else None,
        "other": other,
        "other_weights": str(other_weights) if other_weights else None,
        "inverter": inverter,
        "detector": detector,
        "several_faces": several_faces,
        "pictures": pictures,
        "max_faces": max_faces,
        "limit": limit,
        "distinct": distinct or None,
        "seed": seed,
    }
    given = {key: value for key, value in given.items() if value is not None}
    options = {"dry_run": dry_run, "overwrite": overwrite, "quiet": quiet, "as_json": as_json}
    if (scorer or vectors) and engine != "local":
        raise UsageError("--engine goes with --embedder", "a scorer and stored vectors are asked here")
    if scorer and vectors:
        raise UsageError(
            "--scorer and --vectors: expected one of them", "vectors are compared here, without a scorer"
        )
    if scorer:
        from fraudit.cli.scorer import analyze_scorer

        return analyze_scorer(scorer, given, plan, out, max_queries, **options)
    if max_queries is not None:
        raise UsageError("--max-queries goes with --scorer", "an embedder is asked once a face: --max-faces")
    if vectors:
        from fraudit.cli.vectors import analyze_vectors

        return analyze_vectors(vectors, given, plan, out, **options)
    chosen = plan_from_toml(plan, given) if plan else plan_from_values(given, "fraudit analyze")
    cluster = engine_of(chosen, engine, address, store, workers)
    if dry_run:
        return show_plan(chosen, quiet)

    from fraudit.audit.folders import default_run_dir, unreported
    from fraudit.audit.runner import run_plan
    from fraudit.cli.outcome import tell
    from fraudit.progress.board import of_a_run
    from fraudit.report.render import render

    folder = out or default_run_dir(chosen)
    done = None if overwrite else unreported(folder, chosen.as_dict())
    with of_a_run(quiet) as line:
        if done:
            line.say(f"{folder} holds this run, finished but for its report")
        record = done or run_plan(
            chosen, folder, overwrite=overwrite, reporter=line.reporter(), engine=cluster, workers=workers
        )
        page = render(folder)
    return tell(record, folder, page, quiet, as_json)


def show_plan(plan: AuditPlan, quiet: bool) -> int:
    """Print the resolved plan as JSON with what it will ask and how long that takes; the same in words beside it."""
    from fraudit.audit.estimate import estimate
    from fraudit.errors import FrauditError
    from fraudit.progress.console import Line

    with Line(quiet, terse=True) as line:
        line.say("counting faces and questions")
        try:
            found = estimate(plan)
        except FrauditError as error:
            told, words = {"missing": error.message}, f"not estimated: {error.message}"
        else:
            told, words = found.as_dict(), found.text()
    if not quiet:
        typer.echo(words, err=True)
    typer.echo(json.dumps({**plan.as_dict(), "estimate": told}, indent=2))
    return 0


def analyses(as_json: Annotated[bool, typer.Option("--json", help="For scripts.")] = False) -> None:
    """List the analyses, what each needs, its parameters with their defaults, and what they mean.

    Example: fraudit analyses
    """
    import dataclasses
    import shutil
    import textwrap

    from fraudit.audit.params_help import explained
    from fraudit.plugins import ANALYSES

    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    rows: list[dict[str, Any]] = []
    for name, analysis in sorted(ANALYSES.items(), key=lambda item: item[1].order):
        params = {
            f.name: None if f.default is dataclasses.MISSING else f.default
            for f in dataclasses.fields(analysis.params)
        }
        rows.append(
            {
                "name": name,
                "summary": analysis.summary,
                "needs": list(analysis.needs),
                "params": params,
                "about": explained(analysis.params),
            }
        )
    if as_json:
        typer.echo(json.dumps(rows, indent=2, default=str))
        return
    for row in rows:
        needs = f" (needs {', '.join(row['needs'])})" if row["needs"] else ""
        typer.echo(f"{row['name']}: {row['summary']}{needs}")
        for key, value in row["params"].items():
            text = ",".join(map(str, value)) if isinstance(value, list | tuple) else value
            typer.echo(f"    --param {row['name']}.{key}={'' if text is None else text}")
            about = row["about"].get(key, "")
            if about:
                typer.echo(textwrap.fill(about, width, initial_indent=" " * 8, subsequent_indent=" " * 8))


def register(app: typer.Typer) -> None:
    """Add the commands of this topic."""
    app.command("analyze")(analyze)
    app.command("analyses")(analyses)
