"""`fraudit threshold`: the threshold for a target, what it promises and what it costs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer


def threshold(
    out: Annotated[Path, typer.Option(help="The policy to write, such as policy.json.")],
    embedder: Annotated[str, typer.Option(help="Registry name, card.toml, or python:module:callable.")] = "",
    dataset: Annotated[str, typer.Option(help="Known name or path.")] = "sample",
    run: Annotated[
        Path | None,
        typer.Option(help="Instead of --embedder and --dataset: a finished run with its vectors."),
    ] = None,
    fmr: Annotated[
        list[str] | None, typer.Option(help="Target, 1e-6 to 0.5; repeat, or separate by commas.")
    ] = None,
    fpir: Annotated[
        list[str] | None, typer.Option(help="Target of 1:N search; repeat, or separate by commas.")
    ] = None,
    people: Annotated[
        int,
        typer.Option(
            help="People enrolled, for --fpir. [default: half of those of each half]", show_default=False
        ),
    ] = 0,
    every_group: Annotated[
        str, typer.Option(help="Attributes, comma-separated: every bound holds for each of their groups.")
    ] = "",
    confidence: Annotated[float, typer.Option(help="Of each bound, one-sided.")] = 0.95,
    check: Annotated[str, typer.Option(help="Another set: does the promise hold there?")] = "",
    prior: Annotated[
        float | None, typer.Option(help="Share of comparisons that are of one person, for probabilities.")
    ] = None,
    profile: Annotated[str, typer.Option(help="Named plan: nist-800-63a-4 or iso-19795-10.")] = "",
    junit: Annotated[
        Path | None, typer.Option(help="With --profile: also write JUnit XML, one test case a demand.")
    ] = None,
    chart: Annotated[Path | None, typer.Option(help="Also draw the empirical cross-entropy (SVG).")] = None,
    weights: Annotated[Path | None, typer.Option(help="The model's weights file.")] = None,
    detector: Annotated[str | None, typer.Option(help="yunet, dlib, mtcnn or scrfd.")] = None,
    several_faces: Annotated[
        str, typer.Option(help="most_central, largest or highest_score.")
    ] = "most_central",
    layout: Annotated[
        str | None, typer.Option(help="Which folders name the person, such as person/*.")
    ] = None,
    pairs: Annotated[
        Path | None, typer.Option(help="Pairs of a set that names nobody (docs/formats.md).")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="Whole people, up to so many pictures; two people at least.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the halves and samples.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a policy in --out.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="No progress and no notes (the policy holds them).")
    ] = False,
) -> int:
    """The lowest threshold whose error rate on people not used keeps the target, and what it costs.

    Writes a policy (docs/threshold.md). Exit code 0; 3 where no target can be promised, and no policy is written; with
    --profile 1 where a demand fails, 3 where the evidence is too little.

    Example: fraudit threshold --embedder card.toml --dataset lfw --fmr 1e-4 --out policy.json
    """
    from fraudit.deployment.asked import Asked

    asked = Asked(
        _targets("fmr", fmr),
        _targets("fpir", fpir),
        people,
        _words(every_group),
        confidence,
        prior,
        profile,
        seed,
    ).completed()
    _check_options(embedder, run, check, profile, junit, limit)
    claim(out, overwrite)
    from fraudit.deployment.demands import demands_met
    from fraudit.deployment.demands import junit as junit_of
    from fraudit.deployment.elsewhere import check_elsewhere
    from fraudit.deployment.measure import measure_thresholds
    from fraudit.deployment.record import entropy_chart, policy_of
    from fraudit.deployment.shown import Model, Reading, shown_in
    from fraudit.deployment.words import lines_of, unwritten
    from fraudit.files.doors import leaving
    from fraudit.files.store import write_text_atomic
    from fraudit.progress.console import Line

    reading = Reading(detector or "", several_faces, layout, str(pairs) if pairs else None, limit)
    with Line(quiet) as line:
        if run is not None:
            shown, other = shown_in(run), shown_in(Path(check)) if check else None
        else:
            model = Model(embedder, weights, line.reporter())
            shown = model.show(dataset, reading)
            other = model.show(check, Reading(detector or "", several_faces)) if check else None
            model.close()
        line.say("choosing thresholds ...")
        found = measure_thresholds(shown, asked)
        checked = check_elsewhere(found, other) if other else None
    outcomes = demands_met(found) if profile else ()
    if found.resolvable:
        policy_of(found).save(out)
    if junit is not None:
        with leaving(junit):
            write_text_atomic(junit, junit_of(profile, outcomes))
    figure = entropy_chart(found) if chart is not None else None
    if chart is not None and figure is not None:
        from fraudit.report.charts import svg

        with leaving(chart):
            write_text_atomic(chart, svg(figure, 720, uid="ece"))
    last = f"written: {out}" if found.resolvable else unwritten(found, out)
    typer.echo("\n".join([*lines_of(found, checked, outcomes, not quiet), last]))
    return _code(found.resolvable, outcomes)


def _code(resolvable: bool, outcomes: Any) -> int:
    from fraudit.errors import InsufficientEvidence
    from fraudit.policy.profiles import overall

    found = overall(outcomes) if outcomes else "pass"
    if found == "fail":
        return 1
    return 0 if resolvable and found == "pass" else InsufficientEvidence.exit_code


def _words(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


_DECIMAL_COMMA = re.compile(r"(?<![^,])0,(?=\d)")  # no target is 0: 0,001 is meant as one number


def _of_percent(name: str, text: str) -> str:
    """How a target that was typed as percent is written, or ''."""
    try:
        value = float(text.removesuffix("%")) / 100
    except ValueError:
        return ""
    return f"a share, not percent: --{name} {value:g}" if text.endswith("%") else ""


def _targets(name: str, given: list[str] | None) -> tuple[float, ...]:
    from fraudit.errors import UsageError

    found = []
    for text in given or ():
        if _DECIMAL_COMMA.search(text):
            raise UsageError(
                f"--{name}: expected a number such as 0.001, found '{text}': a comma stands between two targets",
                f"decimals have a point: --{name} {_DECIMAL_COMMA.sub(r'0.', text)}",
            )
        for part in _words(text):
            try:
                found.append(float(part))
            except ValueError:
                hint = _of_percent(name, part)
                raise UsageError(f"--{name}: expected a number such as 1e-4, found '{part}'", hint) from None
    return tuple(found)


def _check_options(
    embedder: str, run: Path | None, check: str, profile: str, junit: Path | None, limit: int | None
) -> None:
    from fraudit.errors import UsageError

    if bool(embedder) == (run is not None):
        raise UsageError(
            "expected --embedder (with --dataset), or --run with a finished run",
            "fraudit threshold --embedder dlib --dataset FOLDER --fmr 1e-3 --out policy.json",
        )
    if junit is not None and not profile:
        raise UsageError(
            "--junit writes the demands of a plan, and no --profile was given", "--profile nist-800-63a-4"
        )
    if limit is not None and limit < 1:
        raise UsageError(f"--limit: expected at least 1, found {limit}")


def claim(out: Path, overwrite: bool) -> None:
    """Check that a policy may be written to `out`, before anything takes long.

    Raises:
        UsageError: it is a folder, another program's file, or a policy without `overwrite`.
    """
    from fraudit.errors import DataError, UsageError
    from fraudit.files.doors import JSON_BYTES, read_json

    if out.is_dir():
        raise UsageError(f"--out {out} is a folder; expected a file name such as policy.json")
    if not out.exists() and not out.is_symlink():
        return
    try:
        found = read_json(out, JSON_BYTES)
    except DataError:
        found = None
    if not isinstance(found, dict) or not str(found.get("schema", "")).startswith("fraudit-policy/"):
        raise UsageError(
            f"--out {out} is no policy of fraudit: another program's file", "choose another --out"
        )
    if not overwrite:
        raise UsageError(f"{out} holds a policy", "choose another --out, or pass --overwrite")


def register(app: typer.Typer) -> None:
    """Add the commands of this topic."""
    app.command("threshold")(threshold)
