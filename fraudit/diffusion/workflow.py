"""One training from data to exported inverter: what `fraudit train` does, as a function."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fraudit.diffusion.checkpoint import export_inverter, read_inverter_card, save_inverter
from fraudit.diffusion.evaluate import Probe, add_evaluation, grid, write_picture, write_training_report
from fraudit.diffusion.presets import Preset
from fraudit.diffusion.shards import (
    Progress,
    data_digest,
    load_shards,
    ready_shards,
)
from fraudit.diffusion.training import Processes, Trainer, TrainOptions
from fraudit.embedding import EmbedderRuntime
from fraudit.errors import UsageError
from fraudit.types import F32, FaceSet

SAMPLES = 8


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a training needs.

    Attributes:
        out: folder of state, losses, report and the finished inverter (`out/inverter`).
        shards: folder of the training data; made where it does not exist.
        sets: face sets; () takes the shards as they are.
        limit: at most so many faces of each set; 0: all.
        points: f32[5,2], where the five points lie in the pictures.
        template_name: name of that geometry, in the card.
        probe: people whose faces are inverted in each report.
        export: also write `out/export` in this weight type (`fp16`, `int8`), or ''.
        resume: go on from the state in `out`.
        init: folder of a finished inverter to start from, or None.
    """

    out: Path
    shards: Path
    sets: Sequence[FaceSet]
    preset: Preset
    options: TrainOptions
    points: F32
    template_name: str
    limit: int = 0
    probe: int = 16
    export: str = ""
    resume: bool = False
    init: Path | None = None


def prepare_data(plan: Plan, runtime: EmbedderRuntime, processes: Processes, progress: Progress) -> None:
    """Make the shards where there are none; refuse those of another embedder, size or data."""
    ready_shards(
        plan.shards, plan.sets, runtime, plan.points, plan.preset.unet.image_size, plan.template_name,
        plan.limit, progress, make=processes.first,
    )  # fmt: skip
    # Always: one that comes late finds the shards made and must still meet the one that made them here.
    processes.wait()


def origin_of(folder: Path) -> dict[str, Any]:
    """What a card says of the inverter in `folder` that another one started from, and of those before it."""
    card = read_inverter_card(folder)
    found = {key: card.get(key) for key in ("embedder", "embedder_fingerprint", "preset", "steps", "batch")}
    before = {key: card[key] for key in ("adapted_from", "init") if key in card}
    return {**found, "weights_sha256": [entry["sha256"] for entry in card["files"]], **before}


def card_of(plan: Plan, index: dict[str, Any], trainer: Trainer, seconds: float) -> dict[str, Any]:
    """What the finished inverter says of itself."""
    options, preset = plan.options, plan.preset
    licences = sorted({d["licence"] or "unknown" for d in index["datasets"]})
    return {
        "embedder": index["embedder"],
        "embedder_fingerprint": index["embedder_fingerprint"],
        "embedder_weights_sha256": index["embedder_weights_sha256"],
        "embedder_licence": index["embedder_licence"],
        "preprocess": index["preprocess"],
        "dim": index["dim"],
        "preset": preset.name,
        "departures": list(preset.departures),
        "unet": trainer.config.as_dict(),
        "schedule": preset.schedule,
        "unit_scaled": preset.unit_scaled,
        "attributes": options.attributes,
        "identity": options.identity,
        "size_px": preset.unet.image_size,
        "template_name": index["template_name"],
        "data": [{k: d[k] for k in ("name", "digest", "faces", "licence")} for d in index["datasets"]],
        "data_digest": data_digest(index),
        "held_out": index["held_out"],
        "steps": trainer.step,
        "batch": options.batch,
        "seed": options.seed,
        "ema": preset.ema,
        "guidance": preset.guidance,
        "temperature": preset.temperature,
        "parameters": sum(p.numel() for p in trainer.network.parameters()),
        "seconds": round(seconds, 1),
        "precision": trainer.precision,
        **({"init": origin_of(plan.init)} if plan.init is not None else {}),
        "device": torch.cuda.get_device_name() if trainer.device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "licence": f"weights learned from: {'; '.join(licences)}",
    }


def run_training(
    plan: Plan,
    runtime: EmbedderRuntime,
    judge: EmbedderRuntime | None = None,
    say: Callable[[str], None] = lambda text: None,
    progress: Progress = lambda label, done, total: None,
) -> dict[str, Any]:
    """Data, training, report, export. Returns {done, step, inverter, export, loss, evaluation}.

    Raises:
        UsageError: `out` holds a training already, or --resume finds none or another one.
        ArtifactError: shards of another embedder, truncated shards or state.
    """
    from fraudit.diffusion.training import LOG, STATE, read_losses, state_in

    processes = Processes(plan.options.device)
    try:
        if (plan.out / STATE).is_file() and not plan.resume:
            raise UsageError(f"{plan.out} holds a training already", "add --resume, or choose another --out")
        # Refused before anything is written.
        if plan.resume:
            state_in(plan.out)
        if plan.init is not None:
            read_inverter_card(plan.init)
        prepare_data(plan, runtime, processes, progress)
        plan.out.mkdir(parents=True, exist_ok=True)
        data = load_shards(plan.shards)
        preset, options = plan.preset, plan.options
        run = {
            "preset": preset.name,
            "batch": options.batch,
            "seed": options.seed,
            "attributes": options.attributes,
            "identity": options.identity,
            "data": data_digest(data.index),
            "embedder": data.index["embedder_fingerprint"],
        }
        if plan.init is not None:
            run["init"] = origin_of(plan.init)
        trainer = Trainer(plan.out, data, preset, options, processes, run, say)
        if plan.resume:
            trainer.resume()
            say(f"resumed at step {trainer.step}")
        else:
            if plan.init is not None:
                trainer.begin_from(plan.init)
            if processes.first:
                (plan.out / LOG).unlink(missing_ok=True)
        probe = Probe.of_people(
            data,
            True,
            plan.probe,
            points=plan.points,
            runtime=runtime,
            judge=judge,
            unit_scaled=preset.unit_scaled,
            schedule=preset.schedule,
            guidance=preset.guidance,
            temperature=preset.temperature,
        )
        started = time.monotonic()

        def report(now: Trainer) -> None:
            pictures = probe.pictures(now.averaged())
            if options.identity:
                add_evaluation(plan.out, {"step": now.step, **probe.score(pictures)})
            real = data.pictures[probe.rows[:SAMPLES]]
            write_picture(plan.out / "samples.png", grid([real, pictures[:SAMPLES]]))
            write_training_report(plan.out, card_of(plan, data.index, now, time.monotonic() - started))

        done = trainer.run(report, say)
        result: dict[str, Any] = {"done": done, "step": trainer.step, "inverter": None, "export": None}
        if processes.first:
            report(trainer)
            card = card_of(plan, data.index, trainer, time.monotonic() - started)
            inverter = plan.out / "inverter"
            save_inverter(inverter, trainer.ema.state_dict(), card, "fp32", max_bytes=2**40)
            result["inverter"] = str(inverter)
            if plan.export:
                export_inverter(inverter, plan.out / "export", plan.export)
                result["export"] = str(plan.out / "export")
            losses = read_losses(plan.out)
            result["loss"] = losses[-1]["loss"] if losses else None
        processes.wait()
        return result
    finally:
        processes.close()
