"""`fraudit train-rival`: train a method of the literature other than ID3PM, to compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fraudit.cli.train import (
    Dataset,
    Device,
    DryRun,
    Judge,
    JudgeWeights,
    MaxFaces,
    Minutes,
    Quiet,
    Resume,
    Seed,
    ShardsFolder,
    runtime_of,
)


def train_rival(
    method: Annotated[str, typer.Argument(help="dibigan (Vec2Face) or nbnet.")],
    embedder: Annotated[str, typer.Option(help="Registry name, card.toml, or python:module:callable.")],
    out: Annotated[Path, typer.Option(help="Folder of state and finished inverter.")],
    dataset: Dataset = "",
    preset: Annotated[str, typer.Option(help="cpu (two cores, an hour), gpu or paper.")] = "cpu",
    row: Annotated[
        str | None, typer.Option(help="dibigan: row A to F of Vec2Face, Table 2. [default: F]")
    ] = None,
    variant: Annotated[str | None, typer.Option(help="nbnet: a or b. [default: b]")] = None,
    loss: Annotated[str | None, typer.Option(help="nbnet: pixel or perceptual. [default: pixel]")] = None,
    steps: Annotated[
        int | None, typer.Option(help="Optimizer steps, of each stage for dibigan. [default: the preset's]")
    ] = None,
    student_steps: Annotated[int | None, typer.Option(help="Of the distilled student.")] = None,
    flow_steps: Annotated[int | None, typer.Option(help="Of the bijection, dibigan.")] = None,
    student: Annotated[
        Path | None, typer.Option(help="Finished student of an ID3PM training on the same shards; fits none.")
    ] = None,
    resume: Resume = False,
    weights: Annotated[Path | None, typer.Option(help="The embedder's weights file.")] = None,
    minutes: Minutes = 0.0,
    seed: Seed = 0,
    max_faces: MaxFaces = 0,
    shards: ShardsFolder = None,
    judge: Judge = "",
    judge_weights: JudgeWeights = None,
    device: Device = "",
    dry_run: DryRun = False,
    quiet: Quiet = False,
) -> int:
    """Train Vec2Face (DiBiGAN) or NbNet for a black box, to compare with ID3PM in `fraudit rivals --inverter DIR`.

    Example: fraudit train-rival dibigan --embedder dlib --dataset celeba,utkface --out runs/dibigan
    """
    import json
    import time

    from fraudit.diffusion.data.shards import load_shards, ready_shards
    from fraudit.embedding.devices import torch_device
    from fraudit.errors import UsageError
    from fraudit.inverters.geometry import TEMPLATE_NAME, landmarks_of
    from fraudit.inverters.learned.presets import recipe_named
    from fraudit.inverters.sources import training_sets
    from fraudit.progress.console import Line

    other: dict[str, dict[str, object]] = {
        "nbnet": {"row": row, "flow_steps": flow_steps},
        "dibigan": {"variant": variant, "loss": loss},
    }
    for name, value in other.get(method, {}).items():
        if value is not None:
            raise UsageError(f"--{name.replace('_', '-')} is no option of {method}", "see --help")
    recipe = recipe_named(
        method,
        preset,
        row=row,
        variant=variant,
        loss=loss,
        steps=steps,
        student_steps=student_steps,
        flow_steps=flow_steps,
    )
    if dry_run:
        typer.echo(json.dumps(recipe.as_dict(), indent=2))
        return 0
    names = [name.strip() for name in dataset.split(",") if name.strip()]
    folder = shards or out / "shards"
    if not names and not (folder / "index.json").is_file():
        raise UsageError("nothing to train on", "give --dataset, such as --dataset celeba,utkface")
    from fraudit.inverters.learned.training import STATE, Learner

    if (out / STATE).exists() and not resume:
        raise UsageError(f"{out} holds a training already", "go on with --resume, or choose another --out")
    on = torch_device(device)
    sets = training_sets(names)
    runtime = runtime_of(embedder, weights)
    referee = runtime_of(judge, judge_weights) if judge else None
    begun = time.monotonic()
    with Line(quiet) as line:
        points = landmarks_of(recipe.size_px)
        ready_shards(folder, sets, runtime, points, recipe.size_px, TEMPLATE_NAME, max_faces, line.progress)
        learner = Learner(recipe, load_shards(folder), out, seed, line.say, student, on)
        done = learner.run(minutes)
        card = learner.finish(runtime, referee, time.monotonic() - begun)
    told = card["evaluation"]
    typer.echo(f"inverter: {out / 'inverter'}")
    if not done:
        typer.echo(
            f"stopped at step {learner.step} of {learner.steps}: not trained to its end; --resume goes on"
        )
    for name in ("embedder", "judge"):
        if name in told and "own" in told[name]:
            own, other_face = told[name]["own"], told[name]["other"]
            who = told.get("judge_name", name) if name == "judge" else runtime.spec.name
            typer.echo(
                f"people held out by {who}: cosine to the own source {own['mean']:.3f}, to another's "
                f"{other_face['mean']:.3f} (n = {own['n']})"
            )
    if told.get("heeds_condition") is False:
        typer.echo("warning: its pictures are no nearer to their own source than to another's")
    return 0


def register(app: typer.Typer) -> None:
    """Add the command of this topic."""
    app.command("train-rival")(train_rival)
