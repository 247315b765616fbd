"""`fraudit train` and `fraudit export-inverter`: the ID3PM inverter of a black box, from data to files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fraudit.embedding import EmbedderRuntime


def _runtime(name: str, weights: Path | None) -> EmbedderRuntime:
    from fraudit.embedders_load import load_embedder
    from fraudit.embedding import EmbedderRuntime
    from fraudit.store import Store

    return EmbedderRuntime(load_embedder(name, weights=weights), Store())


def train(
    embedder: Annotated[str, typer.Option(help="Registry name, card.toml, or python:module:callable.")],
    out: Annotated[Path, typer.Option(help="Folder of state, losses, report and finished inverter.")],
    dataset: Annotated[
        str, typer.Option(help="Face sets to train on, separated by commas; '' uses --shards as they are.")
    ] = "",
    preset: Annotated[str, typer.Option(help="paper-64, small-64, mini-64 or tiny-32.")] = "small-64",
    attributes: Annotated[str, typer.Option(help="Also condition on set1, set2 or set3.")] = "",
    unconditional: Annotated[
        bool, typer.Option("--unconditional", help="Do not condition on the ID vector.")
    ] = False,
    init: Annotated[
        Path | None, typer.Option(help="Start from the weights of a finished inverter, of any black box.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where it was stopped or killed.")] = False,
    weights: Annotated[Path | None, typer.Option(help="The embedder's weights file.")] = None,
    steps: Annotated[int, typer.Option(help="Optimizer steps in all; 0 takes the preset's.")] = 0,
    batch: Annotated[int, typer.Option(help="Pictures a step over all processes; 0: the preset's.")] = 0,
    micro_batch: Annotated[int, typer.Option(help="Pictures a forward; smaller accumulates gradients.")] = 0,
    minutes: Annotated[
        float, typer.Option(help="Stop with a checkpoint after this time; 0: no limit.")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="Of weights, noise and order.")] = 0,
    max_faces: Annotated[int, typer.Option(help="At most so many faces of each set; 0: all.")] = 0,
    shards: Annotated[Path | None, typer.Option(help="Folder of the training data [OUT/shards].")] = None,
    judge: Annotated[str, typer.Option(help="An independent embedder for the report.")] = "",
    judge_weights: Annotated[Path | None, typer.Option(help="The judge's weights file.")] = None,
    probe: Annotated[int, typer.Option(help="Held-out people inverted in each report.")] = 16,
    checkpoint_every: Annotated[int, typer.Option(help="Steps between states on disk.")] = 500,
    report_every: Annotated[int, typer.Option(help="Steps between reports.")] = 1000,
    log_every: Annotated[int, typer.Option(help="Steps between lines.")] = 20,
    export: Annotated[str, typer.Option(help="At the end write OUT/export as fp16 or int8.")] = "",
    device: Annotated[str, typer.Option(help="cpu or cuda; '' takes a GPU where there is one.")] = "",
    precision: Annotated[str, typer.Option(help="bf16 or fp32; '' takes bf16 on a GPU.")] = "",
    no_compile: Annotated[bool, typer.Option("--no-compile", help="No torch.compile on a GPU.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan and stop.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="No progress.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Plain JSON on standard output.")] = False,
) -> int:
    """Train an inverter (ID3PM) for a black box from pictures and their ID vectors alone.

    Several GPUs: torchrun --nproc-per-node 4 -m fraudit.cli.main train ...

    Example: fraudit train --embedder dlib --dataset celeba,utkface --preset small-64 --export int8 --out runs/dlib
    """
    import json
    import os
    from dataclasses import asdict

    from fraudit.cli.console import Line
    from fraudit.diffusion.attributes import attribute_names
    from fraudit.diffusion.checkpoint import DTYPES
    from fraudit.diffusion.presets import preset_named
    from fraudit.diffusion.training import PRECISIONS, TrainOptions
    from fraudit.diffusion.workflow import Plan, run_training
    from fraudit.errors import UsageError, suggest
    from fraudit.inverters.geometry import TEMPLATE_NAME, landmarks_of
    from fraudit.inverters.sources import training_sets

    recipe = preset_named(preset)
    if attributes:
        attribute_names(attributes)
    if export and export not in DTYPES:
        raise UsageError(
            f"unknown weight type '{export}'", f"{suggest(export, DTYPES)}known: {', '.join(DTYPES)}"
        )
    if precision not in ("", *PRECISIONS):
        raise UsageError(
            f"unknown precision '{precision}'",
            f"{suggest(precision, PRECISIONS)}known: {', '.join(PRECISIONS)}",
        )
    counts = {
        "--steps": steps, "--batch": batch, "--micro-batch": micro_batch, "--minutes": minutes,
        "--max-faces": max_faces,
    }  # fmt: skip
    for option, value in counts.items():
        if value < 0:
            raise UsageError(f"{option} must be at least 0, found {value:g}")
    for option, value in {
        "--checkpoint-every": checkpoint_every, "--report-every": report_every, "--log-every": log_every,
        "--probe": probe,
    }.items():  # fmt: skip
        if value < 1:
            raise UsageError(f"{option} must be at least 1, found {value}")
    names = [name.strip() for name in dataset.split(",") if name.strip()]
    if not names and shards is None and not resume:
        raise UsageError("nothing to train on", "give --dataset, such as --dataset celeba,utkface")
    sets = training_sets(names)
    first = os.environ.get("RANK", "0") == "0"
    line = Line(quiet or not first)
    options = TrainOptions(
        steps=steps or recipe.steps,
        batch=batch or recipe.batch,
        micro_batch=micro_batch,
        seed=seed,
        minutes=minutes,
        checkpoint_every=checkpoint_every,
        log_every=log_every,
        report_every=report_every,
        attributes=attributes,
        identity=not unconditional,
        device=device,
        compile=not no_compile,
        precision=precision,
    )
    plan = Plan(
        out=out,
        shards=shards or out / "shards",
        sets=sets,
        preset=recipe,
        options=options,
        points=landmarks_of(recipe.unet.image_size),
        template_name=TEMPLATE_NAME,
        limit=max_faces,
        probe=probe,
        export=export,
        resume=resume,
        init=init,
    )
    if dry_run:
        shown = {
            "preset": recipe.name,
            "departures": list(recipe.departures),
            "unet": recipe.unet.as_dict(),
            "options": asdict(options),
            "faces": {faces.name: len(faces) for faces in plan.sets},
            "out": str(out),
        }
        print(json.dumps(shown, indent=2))
        return 0
    runtime = _runtime(embedder, weights)
    referee = _runtime(judge, judge_weights) if judge else None
    result = run_training(plan, runtime, referee, line.say, line.progress)
    if first:
        if json_:
            print(json.dumps(result))
        elif result["done"]:
            print(f"inverter: {result['inverter']}")
            print(f"report:   {out / 'training.html'}")
            if result["export"]:
                print(f"export:   {result['export']}")
        else:
            print(f"stopped at step {result['step']} of {options.steps}; go on with --resume")
    return 0


def export_inverter(
    inverter: Annotated[Path, typer.Argument(help="Folder of a trained inverter.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    dtype: Annotated[str, typer.Option(help="fp16, int8 or fp32.")] = "fp16",
    max_mb: Annotated[float, typer.Option(help="Upper limit of each file in MB.")] = 15.5,
    guidance: Annotated[
        float | None, typer.Option(help="Default guidance from now on (see benchmarks/sampling.py).")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="Default scale of the noise from now on.")] = None,
) -> int:
    """Copy a trained inverter in fewer bytes, in files whose hashes are checked when it is loaded.

    Example: fraudit export-inverter runs/dlib/inverter --out exported --dtype int8
    """
    from fraudit.diffusion.checkpoint import export_inverter as export
    from fraudit.errors import UsageError

    if max_mb <= 0:
        raise UsageError(f"--max-mb must be above 0, found {max_mb:g}")
    card = export(inverter, out, dtype, int(max_mb * 1e6), guidance=guidance, temperature=temperature)
    size = sum(entry["bytes"] for entry in card["files"])
    print(f"{out}: {len(card['files'])} file(s), {size / 1e6:.1f} MB, {dtype}")
    return 0


def register(app: typer.Typer) -> None:
    """Add the commands of this topic."""
    app.command()(train)
    app.command("export-inverter")(export_inverter)
