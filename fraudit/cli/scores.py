"""`fraudit scores`: verification figures of a foreign score file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer


def scores(
    file: Annotated[
        Path | None, typer.Argument(help="Scores: a table, Bob 4/5 columns or CSV, BEE .mtx, Parquet.")
    ] = None,
    format: Annotated[
        str, typer.Option(help="auto, bob4, bob5, bob-csv, bee, pairs-csv or pairs-parquet.")
    ] = "auto",
    mask: Annotated[
        Path | None, typer.Option(help="Mask of a BEE matrix. [default: FILE with .mask]")
    ] = None,
    distance: Annotated[
        bool, typer.Option("--distance", help="Small means alike: the numbers are distances.")
    ] = False,
    column: Annotated[
        str, typer.Option(help="Name of the column of scores. [default: score, similarity, distance]")
    ] = "",
    genuine: Annotated[
        Path | None, typer.Option(help="Instead of FILE: scores of genuine pairs alone, one a line.")
    ] = None,
    impostor: Annotated[Path | None, typer.Option(help="With --genuine: those of impostor pairs.")] = None,
    threshold: Annotated[
        list[float] | None,
        typer.Option(help="Also FMR and FNMR at this threshold, in the file's own unit; repeat for several."),
    ] = None,
    bootstrap: Annotated[
        int,
        typer.Option(
            help="With --threshold: also percentiles of this many draws of people (1000), as papers state them."
        ),
    ] = 0,
    out: Annotated[
        Path | None, typer.Option(help="Folder for verification.json, scores.csv and the charts (SVG).")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """Error rates, DET, EER, TAR at FAR of scores that another tool computed (docs/formats.md).

    Example: fraudit scores scores-dev.csv --out runs/scores
    """
    from fraudit.analyses.verification import Params
    from fraudit.analyses.verification.at_threshold import with_thresholds
    from fraudit.analyses.verification.attacks import with_attacks
    from fraudit.analyses.verification.measure import Evidence
    from fraudit.analyses.verification.report import result_of
    from fraudit.errors import UsageError
    from fraudit.scores import read_score_pair, read_scores

    if (genuine is None) != (impostor is None) or (file is None) == (genuine is None):
        raise UsageError("expected FILE, or --genuine A with --impostor B", "fraudit scores scores.csv")
    if bootstrap and not threshold:
        raise UsageError("--bootstrap draws people anew at a threshold; none is given", "add --threshold 0.4")
    if genuine is not None and impostor is not None:
        if format != "auto" or mask is not None:
            raise UsageError("--format and --mask go with FILE", "leave them out")
        found, name = read_score_pair(genuine, impostor, distance=distance, column=column), genuine.stem
    else:
        assert file is not None
        found = read_scores(file, format, mask, distance=distance, column=column, unique=True)
        name = file.stem
    left, right, known = found.people()
    evidence = Evidence(
        name, found.score, found.same, left, right, found.fold, known, pictures_named=found.templates_named
    )
    result = with_thresholds(
        result_of(evidence, Params()), evidence, threshold or (), found.distance, bootstrap
    )
    if found.attacks is not None:
        result = with_attacks(result, found.attacks)
    if out is not None:
        _write(out, result, found)
    if as_json:
        typer.echo(json.dumps(_document(result, found), indent=2, allow_nan=False))
        return
    _print(result, found)
    if out is not None:
        typer.echo(f"\nwritten: {out}")


def _document(result: Any, found: Any) -> dict[str, Any]:
    """What is kept of a score file: the result, and what of the file is not in it."""
    source = {
        "format": found.format,
        "distance": found.distance,
        "left_out": dict(found.left_out),
        "unused_columns": list(found.unused),
    }
    return {"source": source, **_plain(result)}


def _plain(result: Any) -> dict[str, Any]:
    """The result without the bulk of its figures' data."""
    import dataclasses

    import numpy as np

    def value(x: Any) -> Any:
        if isinstance(x, dict):
            return {str(k): value(v) for k, v in x.items()}
        if isinstance(x, list | tuple):
            return [value(v) for v in x]
        return x.item() if isinstance(x, np.generic) else x

    kept = ("name", "title", "headline", "findings", "metrics", "tables", "figures", "caveats", "method")
    whole = dataclasses.asdict(result)
    return {key: value(whole[key]) for key in kept}


def _write(out: Path, result: Any, found: Any) -> None:
    from fraudit.errors import UsageError
    from fraudit.files.doors import check_ours
    from fraudit.files.store import write_text_atomic
    from fraudit.report.charts import svg
    from fraudit.scores import write_scores

    ours = check_ours(
        out / "verification.json",
        lambda d: d.get("schema") == "fraudit-verification",
        "result of fraudit scores",
    )
    if ours is None and (out / "scores.csv").exists():
        raise UsageError(f"{out} holds another program's scores.csv", "choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    document = {"schema": "fraudit-verification", **_document(result, found)}
    write_text_atomic(out / "verification.json", json.dumps(document, indent=2, allow_nan=False) + "\n")
    write_scores(found, out / "scores.csv", "pairs-csv")
    for at, figure in enumerate(result.figures):
        write_text_atomic(out / f"{figure.name}.svg", svg(figure, 720, uid=f"c{at}"))


def _print(result: Any, found: Any) -> None:
    from fraudit.formatting import interval, number, percent

    turned = ", distances" if found.distance else ""
    genuine = int(found.same.sum())
    typer.echo(f"{found.source} ({found.format}{turned}): {len(found):,} pairs, {genuine:,} genuine")
    for reason, count in found.left_out.items():
        typer.echo(f"left out: {count:,} {reason}")
    if found.unused:
        typer.echo(f"columns not used: {', '.join(found.unused)}")
    typer.echo("")
    for metric in result.metrics:
        if metric.value is None:
            typer.echo(f"{metric.label}: no figure: {metric.missing}")
            continue
        ratio = (
            0 <= metric.value <= 1
            and metric.better != "none"
            and not metric.name.endswith((".auc", "d_prime"))
        )
        shown = percent(metric.value) if ratio else number(metric.value)
        bounds = metric.interval
        inside = [f"95 % {interval(bounds.low, bounds.high, as_percent=ratio)}"] if bounds else []
        inside += [f"{metric.n:,} {metric.n_unit}"] if metric.n is not None else []
        inside += [f"no interval: {metric.interval_missing}"] if metric.interval_missing else []
        typer.echo(f"{metric.label}: {shown}" + (f" ({'; '.join(inside)})" if inside else ""))
    typer.echo("")
    for finding in result.findings:
        typer.echo(f"[{finding.severity}] {finding.text}")
    for caveat in result.caveats:
        typer.echo(f"note: {caveat}")
    folder = Path(found.source).parent
    if Path(found.source).name == "scores.csv" and (folder / "run.json").is_file():
        typer.echo(
            "note: a run's scores.csv holds the pairs of its folds or of its protocol; rates of the run itself may "
            f"count all pairs of its people: fraudit show {folder} --all"
        )
    at = next((m.value for m in result.metrics if m.name == "verification.eer_threshold"), None)
    if found.distance and at is not None:
        typer.echo(
            f"note: distances are negated, here and in what --out holds: {number(at)} is a distance of {number(-at)}"
        )
    auc = next((m.value for m in result.metrics if m.name == "verification.auc"), None)
    if auc is not None and auc < 0.5:
        other = "without --distance" if found.distance else "with --distance"
        typer.echo(f"hint: genuine pairs score below impostor pairs (AUC {auc:.3f}): read the file {other}")


def register(app: typer.Typer) -> None:
    """Add `fraudit scores`."""
    app.command("scores")(scores)
