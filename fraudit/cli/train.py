"""`fraudit train` and `fraudit export-inverter`: the ID3PM inverter of a black box, from data to files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from fraudit.diffusion.training.options import TrainOptions
    from fraudit.diffusion.training.presets import Preset
    from fraudit.diffusion.training.workflow import Plan
    from fraudit.embedding.runtime import EmbedderRuntime


Dataset = Annotated[
    str, typer.Option("--dataset", help="Face sets, separated by commas; '' uses --shards as they are.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on where it was stopped or killed.")]
Steps = Annotated[int, typer.Option("--steps", help="Optimizer steps in all; 0 takes the preset's.")]
Batch = Annotated[int, typer.Option("--batch", help="Pictures a step over all processes; 0: the preset's.")]
MicroBatch = Annotated[
    int, typer.Option("--micro-batch", help="Pictures a forward; smaller accumulates gradients.")
]
Minutes = Annotated[
    float, typer.Option("--minutes", help="Stop with a checkpoint after this time; 0: no limit.")
]
Seed = Annotated[int, typer.Option("--seed", help="Of weights, noise and order.")]
MaxFaces = Annotated[int, typer.Option("--max-faces", help="At most so many faces of each set; 0: all.")]
ShardsFolder = Annotated[
    Path | None, typer.Option("--shards", help="Folder of the training data [OUT/shards].")
]
Judge = Annotated[str, typer.Option("--judge", help="An independent embedder for the report.")]
JudgeWeights = Annotated[Path | None, typer.Option("--judge-weights", help="The judge's weights file.")]
CheckpointEvery = Annotated[int, typer.Option("--checkpoint-every", help="Steps between states on disk.")]
ReportEvery = Annotated[int, typer.Option("--report-every", help="Steps between reports.")]
LogEvery = Annotated[int, typer.Option("--log-every", help="Steps between lines.")]
Export = Annotated[str, typer.Option("--export", help="At the end write OUT/export as fp16 or int8.")]
Device = Annotated[str, typer.Option("--device", help="cpu or cuda; '' takes a GPU where there is one.")]
Precision = Annotated[str, typer.Option("--precision", help="bf16 or fp32; '' takes bf16 on a GPU.")]
NoCompile = Annotated[bool, typer.Option("--no-compile", help="No torch.compile on a GPU.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="No progress.")]
Json = Annotated[bool, typer.Option("--json", help="Plain JSON on standard output.")]


def runtime_of(name: str, weights: Path | None) -> EmbedderRuntime:
    """An embedder by name, with the cache."""
    from fraudit.embedding.loading import load_embedder
    from fraudit.embedding.runtime import EmbedderRuntime
    from fraudit.files.store import Store

    return EmbedderRuntime(load_embedder(name, weights=weights), Store())


def checked_options(
    *,
    steps: int,
    batch: int,
    micro_batch: int,
    minutes: float,
    max_faces: int,
    probe: int,
    checkpoint_every: int,
    report_every: int,
    log_every: int,
    precision: str,
    export: str,
    asks: int = 0,
    **rest: Any,
) -> TrainOptions:
    """The options of a training; UsageError names the one that is out of range."""
    from fraudit.diffusion.model.checkpoint import DTYPES
    from fraudit.diffusion.training.options import PRECISIONS, TrainOptions
    from fraudit.errors import UsageError, suggest

    if export and export not in DTYPES:
        raise UsageError(
            f"unknown weight type '{export}'", f"{suggest(export, DTYPES)}known: {', '.join(DTYPES)}"
        )
    if precision not in ("", *PRECISIONS):
        raise UsageError(
            f"unknown precision '{precision}'",
            f"{suggest(precision, PRECISIONS)}known: {', '.join(PRECISIONS)}",
        )
    least = {
        "--steps": (steps, 1),
        "--batch": (batch, 1),
        "--micro-batch": (micro_batch, 0),
        "--minutes": (minutes, 0),
        "--max-faces": (max_faces, 0),
        "--checkpoint-every": (checkpoint_every, 1),
        "--report-every": (report_every, 1),
        "--log-every": (log_every, 1),
        "--probe": (probe, 1),
        "--asks": (asks, 0),
    }
    for option, (value, lowest) in least.items():
        if value < lowest:
            raise UsageError(f"{option} must be at least {lowest}, found {value:g}")
    return TrainOptions(
        steps=steps,
        batch=batch,
        micro_batch=micro_batch,
        minutes=minutes,
        checkpoint_every=checkpoint_every,
        report_every=report_every,
        log_every=log_every,
        precision=precision,
        **rest,
    )


def plan_of(
    recipe: Preset,
    options: TrainOptions,
    *,
    out: Path,
    dataset: str,
    shards: Path | None,
    max_faces: int,
    probe: int,
    export: str,
    resume: bool,
    init: Path | None,
    asks: int = 0,
) -> Plan:
    """The training that the command line asks for. UsageError: no data, or an evaluation set."""
    from fraudit.diffusion.training.workflow import Plan
    from fraudit.errors import UsageError
    from fraudit.inverters.geometry import TEMPLATE_NAME, landmarks_of
    from fraudit.inverters.sources import training_sets

    names = [name.strip() for name in dataset.split(",") if name.strip()]
    if not names and shards is None and not resume:
        raise UsageError("nothing to train on", "give --dataset, such as --dataset celeba,utkface")
    return Plan(
        out=out,
        shards=shards or out / "shards",
        sets=training_sets(names),
        preset=recipe,
        options=options,
        points=landmarks_of(recipe.unet.image_size),
        template_name=TEMPLATE_NAME,
        limit=max_faces,
        probe=probe,
        export=export,
        resume=resume,
        init=init,
        asks=asks,
    )


def show_plan(plan: Plan) -> None:
    """What `--dry-run` prints."""
    import json
    from dataclasses import asdict

    shown = {
        "preset": plan.preset.name,
        "departures": list(plan.preset.departures),
        "unet": plan.preset.unet.as_dict(),
        "options": asdict(plan.options),
        "faces": {faces.name: len(faces) for faces in plan.sets},
        "out": str(plan.out),
    }
    print(json.dumps(shown, indent=2))


def carry_out(
    plan: Plan, runtime: EmbedderRuntime | None, judge: EmbedderRuntime | None, quiet: bool, as_json: bool
) -> None:
    """Train; the first process says what was made and where."""
    import json
    import os

    from fraudit.diffusion.model.checkpoint import NAMES
    from fraudit.diffusion.training.workflow import run_training
    from fraudit.progress.console import Line

    first = os.environ.get("RANK", "0") == "0"
    with Line(quiet or not first) as line:
        result = run_training(plan, runtime, judge, line.say, line.progress)
    if not first:
        return
    if as_json:
        print(json.dumps(result))
    elif result["done"]:
        print(f"{NAMES[plan.kind] + ':':<9} {result['inverter']}")
        print(f"report:   {plan.out / 'training.html'}")
        if result["export"]:
            print(f"export:   {result['export']}")
    else:
        print(f"stopped at step {result['step']} of {plan.options.steps}; go on with --resume")


def train(
    embedder: Annotated[str, typer.Option(help="Registry name, card.toml, or python:module:callable.")],
    out: Annotated[Path, typer.Option(help="Folder of state, losses, report and finished inverter.")],
    dataset: Dataset = "",
    preset: Annotated[str, typer.Option(help="paper-64, small-64, mini-64 or tiny-32.")] = "small-64",
    attributes: Annotated[str, typer.Option(help="Also condition on set1, set2 or set3.")] = "",
    unconditional: Annotated[
        bool, typer.Option("--unconditional", help="Do not condition on the ID vector.")
    ] = False,
    init: Annotated[
        Path | None, typer.Option(help="Start from a finished inverter's weights; a smaller network's grow.")
    ] = None,
    asks: Annotated[
        int,
        typer.Option(help="Ask the black box about so many predictions of --init; its student learns them."),
    ] = 0,
    resume: Resume = False,
    weights: Annotated[Path | None, typer.Option(help="The embedder's weights file.")] = None,
    steps: Steps = 0,
    batch: Batch = 0,
    micro_batch: MicroBatch = 0,
    minutes: Minutes = 0.0,
    seed: Seed = 0,
    max_faces: MaxFaces = 0,
    shards: ShardsFolder = None,
    judge: Judge = "",
    judge_weights: JudgeWeights = None,
    probe: Annotated[int, typer.Option(help="Held-out people inverted in each report.")] = 16,
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
    """Train an inverter (ID3PM) for a black box from pictures and their ID vectors alone.

    Several GPUs: torchrun --nproc-per-node 4 -m fraudit.cli.main train ...

    Example: fraudit train --embedder dlib --dataset celeba,utkface --preset small-64 --export int8 --out runs/dlib
    """
    from fraudit.diffusion.data.attributes import attribute_names
    from fraudit.diffusion.training.presets import preset_named

    recipe = preset_named(preset)
    if attributes:
        attribute_names(attributes)
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
        asks=asks,
        seed=seed,
        attributes=attributes,
        identity=not unconditional,
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
        asks=asks,
    )
    if dry_run:
        show_plan(plan)
        return 0
    runtime = runtime_of(embedder, weights)
    carry_out(plan, runtime, runtime_of(judge, judge_weights) if judge else None, quiet, json_)
    return 0


def export_inverter(
    inverter: Annotated[Path, typer.Argument(help="Folder of a trained inverter.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    dtype: Annotated[str, typer.Option(help="fp16, int8 or fp32.")] = "fp16",
    max_mb: Annotated[float, typer.Option(help="Upper limit of each file in MB.")] = 15.5,
    guidance: Annotated[
        float | None, typer.Option(help="Default guidance from now on (see benchmarks/sampling.py).")
    ] = None,
    temperature: Annotated[
        float | None, typer.Option(help="Temperature of sampling by default from now on.")
    ] = None,
) -> int:
    """Copy a trained inverter in fewer bytes, in files whose hashes are checked when it is loaded.

    Example: fraudit export-inverter runs/dlib/inverter --out exported --dtype int8
    """
    from fraudit.diffusion.model.checkpoint import export_inverter as export
    from fraudit.errors import UsageError

    if max_mb <= 0:
        raise UsageError(f"--max-mb must be above 0, found {max_mb:g}")
    card = export(inverter, out, dtype, int(max_mb * 1e6), guidance=guidance, temperature=temperature)
    size = sum(entry["bytes"] for entry in card["files"])
    print(f"{out}: {len(card['files'])} file(s), {size / 1e6:.1f} MB, {dtype}")
    return 0


def register(app: typer.Typer) -> None:
    """Add the commands of this topic."""
    app.command("train")(train)
    app.command("export-inverter")(export_inverter)
