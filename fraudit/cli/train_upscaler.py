"""`fraudit train-upscaler`: the super-resolution stage of ID3PM, from pictures alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fraudit.cli.train import (
    Batch,
    CheckpointEvery,
    Dataset,
    Device,
    DryRun,
    Export,
    Json,
    JudgeWeights,
    LogEvery,
    MaxFaces,
    MicroBatch,
    Minutes,
    NoCompile,
    Precision,
    Quiet,
    ReportEvery,
    Resume,
    Seed,
    ShardsFolder,
    Steps,
    carry_out,
    checked_options,
    plan_of,
    runtime_of,
    show_plan,
)


def train_upscaler(
    out: Annotated[Path, typer.Option(help="Folder of state, losses, report and finished upscaler.")],
    dataset: Dataset = "",
    preset: Annotated[
        str, typer.Option(help="paper-256 (64 to 256 px), mini-128 (64 to 128) or tiny-64 (32 to 64).")
    ] = "paper-256",
    init: Annotated[Path | None, typer.Option(help="Start from the weights of a finished upscaler.")] = None,
    resume: Resume = False,
    steps: Steps = 0,
    batch: Batch = 0,
    micro_batch: MicroBatch = 0,
    minutes: Minutes = 0.0,
    seed: Seed = 0,
    max_faces: MaxFaces = 0,
    shards: ShardsFolder = None,
    judge: Annotated[str, typer.Option(help="An embedder that compares persons in the report.")] = "",
    judge_weights: JudgeWeights = None,
    probe: Annotated[int, typer.Option(help="Held-out people enlarged in each report.")] = 16,
    checkpoint_every: CheckpointEvery = 500,
    report_every: ReportEvery = 1000,
    log_every: LogEvery = 20,
    export: Export = "",
    device: Device = "",
    precision: Precision = "",
    no_compile: NoCompile = False,
    dry_run: DryRun = False,
    quiet: Quiet = False,
    json_: Json = False,
) -> int:
    """Train a super-resolution network for an inverter's pictures; it is not told who is shown.

    The pictures must be sharp at its size: 256 px needs originals such as FFHQ's.

    Example: fraudit train-upscaler --dataset celeba,utkface --preset mini-128 --export int8 --out runs/upscaler
    """
    from fraudit.diffusion.training.presets import UPSCALERS, preset_named

    recipe = preset_named(preset, UPSCALERS)
    options = checked_options(
        steps=steps or recipe.steps,
        batch=batch or recipe.batch,
        micro_batch=micro_batch,
        minutes=minutes,
        max_faces=max_faces,
        probe=probe,
        checkpoint_every=checkpoint_every,
        report_every=report_every,
        log_every=log_every,
        precision=precision,
        export=export,
        seed=seed,
        identity=False,
        device=device,
        compile=not no_compile,
    )
    plan = plan_of(
        recipe,
        options,
        out=out,
        dataset=dataset,
        shards=shards,
        max_faces=max_faces,
        probe=probe,
        export=export,
        resume=resume,
        init=init,
    )
    if dry_run:
        show_plan(plan)
        return 0
    carry_out(plan, None, runtime_of(judge, judge_weights) if judge else None, quiet, json_)
    return 0


def register(app: typer.Typer) -> None:
    """Add the command of this topic."""
    app.command("train-upscaler")(train_upscaler)
