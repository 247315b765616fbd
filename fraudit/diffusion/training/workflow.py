"""One training from data to export: what `fraudit train` and `fraudit train-upscaler` do, as a function."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fraudit.diffusion.data.shards import (
    Progress,
    Shards,
    data_digest,
    load_shards,
    ready_shards,
)
from fraudit.diffusion.model.checkpoint import (
    KIND,
    NAMES,
    UPSCALER,
    export_inverter,
    read_inverter_card,
    save_inverter,
)
from fraudit.diffusion.training.distributed import DistributedProcesses
from fraudit.diffusion.training.evaluate import Probe, report_of
from fraudit.diffusion.training.loop import Trainer
from fraudit.diffusion.training.options import TrainOptions, computes_in_bf16
from fraudit.diffusion.training.presets import Preset
from fraudit.diffusion.training.report import (
    add_evaluation,
    grid,
    read_evaluations,
    write_picture,
    write_training_report,
)
from fraudit.diffusion.training.state import LOG, STATE, check_resumable, read_losses, state_in
from fraudit.diffusion.training.student_questions import (
    QUESTIONS_FILE,
    StudentQuestions,
    ask_about_predictions,
    questions_digest,
    require_same_black_box,
)
from fraudit.diffusion.training.warm_start import require_warm_start
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import UsageError
from fraudit.types import F32, FaceSet

SAMPLES = 8


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything a training needs.

    Attributes:
        out: folder of state, losses, report and the finished inverter (`out/inverter`) or upscaler (`out/upscaler`).
        shards: folder of the training data; made where it does not exist.
        sets: face sets; () takes the shards as they are.
        limit: at most so many faces of each set; 0: all.
        points: f32[5,2], where the five points lie in the pictures.
        template_name: name of that geometry, in the card.
        probe: people whose faces are inverted in each report.
        export: also write `out/export` in this weight type (`fp16`, `int8`), or ''.
        resume: go on from the state in `out`.
        init: folder of a finished inverter to start from, or None.
        asks: pictures predicted by `init` that the black box is asked about for its student's sake; 0: none.
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
    asks: int = 0

    @property
    def kind(self) -> str:
        """What is trained: an inverter (`id3pm`), or an `upscaler`."""
        return UPSCALER if self.preset.small_size else KIND


def prepare_data(
    plan: Plan, runtime: EmbedderRuntime | None, processes: DistributedProcesses, progress: Progress
) -> None:
    """Make the shards where there are none; refuse those of another embedder, size or data."""
    ready_shards(
        plan.shards,
        plan.sets,
        runtime,
        plan.points,
        plan.preset.unet.image_size,
        plan.template_name,
        plan.limit,
        progress,
        make=processes.first,
    )
    # Always: one that comes late finds the shards made and must still meet the one that made them here.
    processes.wait()


def origin_of(folder: Path, kind: str = KIND) -> dict[str, Any]:
    """What a card says of the inverter in `folder` that another one started from, and of those before it."""
    card = read_inverter_card(folder, kind)
    wanted = ("embedder", "embedder_fingerprint", "preset", "steps", "batch")
    found = {key: card[key] for key in wanted if key in card}
    before: dict[str, Any] = {key: card[key] for key in ("adapted_from", "init") if key in card}
    return {**found, "weights_sha256": [entry["sha256"] for entry in card["files"]], **before}


def data_facts(index: Mapping[str, Any]) -> dict[str, Any]:
    """What a card says of the training data in shards with this index."""
    licences = sorted({d["licence"] or "unknown" for d in index["datasets"]})
    return {
        "template_name": index["template_name"],
        "data": [{k: d[k] for k in ("name", "digest", "faces", "licence")} for d in index["datasets"]],
        "data_digest": data_digest(dict(index)),
        "held_out": index["held_out"],
        "licence": f"weights learned from: {'; '.join(licences)}",
    }


def inverter_facts(index: Mapping[str, Any]) -> dict[str, Any]:
    """What an inverter's card says of its black box."""
    names = (
        "embedder",
        "embedder_fingerprint",
        "embedder_weights_sha256",
        "embedder_licence",
        "preprocess",
        "dim",
    )
    return {name: index[name] for name in names}


def card_of(plan: Plan, index: dict[str, Any], trainer: Trainer, seconds: float) -> dict[str, Any]:
    """What the finished inverter, or upscaler, says of itself."""
    options, preset = plan.options, plan.preset
    facts: dict[str, Any] = {
        **data_facts(index),
        "preset": preset.name,
        "departures": list(preset.departures),
        "unet": trainer.config.as_dict(),
        "schedule": preset.schedule,
        "size_px": preset.unet.image_size,
        "steps": trainer.step,
        "batch": options.batch,
        "seed": options.seed,
        "ema": preset.ema,
        "temperature": preset.temperature,
        "asked_guidance": preset.asked_guidance,
        "sampling_steps": preset.sampling_steps,
        "parameters": sum(p.numel() for p in trainer.network.parameters()),
        "seconds": round(seconds, 1),
        "precision": trainer.precision,
        **({"init": origin_of(plan.init, plan.kind)} if plan.init is not None else {}),
        **({"asks": plan.asks} if plan.asks else {}),
        "device": torch.cuda.get_device_name() if trainer.device.type == "cuda" else "cpu",
        "torch": torch.__version__,
    }
    if preset.small_size:
        return {"small_px": preset.small_size, "told": list(preset.low_res_told), **facts}
    return {
        **inverter_facts(index),
        **facts,
        "unit_scaled": preset.unit_scaled,
        "attributes": options.attributes,
        **({"attributes_labelled": trainer.labelled} if options.attributes else {}),
        "identity": options.identity,
        "guidance": preset.guidance,
    }


Measured = Callable[[Trainer, dict[str, Any]], None]


def _inverter_report(
    plan: Plan, data: Shards, runtime: EmbedderRuntime, judge: EmbedderRuntime | None
) -> Measured:
    preset = plan.preset
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

    def report(now: Trainer, card: dict[str, Any]) -> None:
        pictures = probe.pictures(now.averaged())
        if plan.options.identity:
            add_evaluation(plan.out, {"step": now.step, **probe.score(pictures)})
        real = data.pictures[probe.rows[:SAMPLES]]
        write_picture(plan.out / "samples.png", grid([real, pictures[:SAMPLES]]))
        write_training_report(plan.out, card, report_of(read_evaluations(plan.out), card))

    return report


def _upscaler_report(plan: Plan, data: Shards, judge: EmbedderRuntime | None) -> Measured:
    from fraudit.diffusion.training import upscaler_evaluate as upscaling

    preset = plan.preset
    probe = upscaling.UpscalerProbe.of_people(
        data,
        plan.probe,
        small_px=preset.small_size,
        points=plan.points,
        judge=judge,
        schedule=preset.schedule,
        temperature=preset.temperature,
    )

    def report(now: Trainer, card: dict[str, Any]) -> None:
        pictures = probe.pictures(now.averaged())
        add_evaluation(plan.out, {"step": now.step, **probe.score(pictures)})
        real = probe.real[:SAMPLES]
        write_picture(plan.out / "samples.png", grid([real, probe.plain[:SAMPLES], pictures[:SAMPLES]]))
        write_training_report(plan.out, card, upscaling.report_of(read_evaluations(plan.out)))

    return report


def _check_asks(plan: Plan, runtime: EmbedderRuntime | None) -> None:
    """Raise UsageError where `plan.asks` has nothing to ask about, nobody to ask, or nobody who learns from it."""
    if plan.init is None or runtime is None or not (plan.preset.student_steps and plan.options.identity):
        raise UsageError(
            f"--asks {plan.asks}: expected --init FOLDER, whose predictions the black box is asked about, and a preset "
            "with a student that learns from the answers",
            "give --init and --preset small-64 or mini-64, or leave --asks out",
        )
    require_same_black_box(plan.init, runtime)


def _questions(
    plan: Plan,
    data: Shards,
    runtime: EmbedderRuntime | None,
    processes: DistributedProcesses,
    progress: Progress,
) -> StudentQuestions | None:
    if not plan.asks or plan.init is None or runtime is None:
        return None
    return ask_about_predictions(
        plan.out / QUESTIONS_FILE,
        plan.init,
        data,
        runtime,
        plan.points,
        plan.asks,
        seed=plan.options.seed,
        device=processes.device,
        bf16=computes_in_bf16(processes.device, plan.options.precision),
        make=processes.first,
        wait=processes.wait,
        say=progress,
    )


def run_training(
    plan: Plan,
    runtime: EmbedderRuntime | None,
    judge: EmbedderRuntime | None = None,
    say: Callable[[str], None] = lambda text: None,
    progress: Progress = lambda label, done, total: None,
) -> dict[str, Any]:
    """Data, training, report, export. Returns {done, step, inverter, export, loss}.

    Args:
        runtime: the black box; None trains a super-resolution network, from pictures alone.

    Raises:
        UsageError: `out` holds a training already, or --resume finds none or another one.
        ArtifactError: shards of another embedder, truncated shards or state.
    """
    processes = DistributedProcesses(plan.options.device)
    try:
        if (plan.out / STATE).is_file() and not plan.resume:
            raise UsageError(f"{plan.out} holds a training already", "add --resume, or choose another --out")
        # Refused before anything is written.
        if plan.resume:
            state_in(plan.out)
        if plan.init is not None:
            if plan.resume:  # goes on from its own weights: those of the start may be gone
                read_inverter_card(plan.init, plan.kind)
            else:
                require_warm_start(plan.init, plan.preset, plan.options)
        if plan.asks:
            _check_asks(plan, runtime)
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
            run["init"] = origin_of(plan.init, plan.kind)
        if plan.asks and plan.init is not None:
            run["asks"] = questions_digest(plan.init, data, plan.asks, options.seed)
        if plan.resume:
            check_resumable(plan.out, run)
        questions = _questions(plan, data, runtime, processes, progress)
        trainer = Trainer(plan.out, data, preset, options, processes, run, say, questions)
        if plan.resume:
            trainer.resume()
            say(f"resumed at step {trainer.step}")
        else:
            if plan.init is not None:
                trainer.begin_from(plan.init)
            if processes.first:
                (plan.out / LOG).unlink(missing_ok=True)
        measured = (
            _inverter_report(plan, data, runtime, judge) if runtime else _upscaler_report(plan, data, judge)
        )
        started = time.monotonic()

        def card() -> dict[str, Any]:
            return card_of(plan, data.index, trainer, time.monotonic() - started)

        done = trainer.run(lambda now: measured(now, card()), say)
        result: dict[str, Any] = {"done": done, "step": trainer.step, "inverter": None, "export": None}
        if processes.first:
            measured(trainer, card())
            made = plan.out / NAMES[plan.kind]
            save_inverter(made, trainer.ema.state_dict(), card(), "fp32", max_bytes=2**40, kind=plan.kind)
            result["inverter"] = str(made)
            # One that a training before this one exported would otherwise stay behind.
            exported = plan.out / "export"
            dtype = plan.export or (
                str(read_inverter_card(exported, plan.kind)["dtype"]) if exported.is_dir() else ""
            )
            if dtype:
                export_inverter(made, exported, dtype)
                result["export"] = str(exported)
            losses = read_losses(plan.out)
            result["loss"] = losses[-1]["loss"] if losses else None
        processes.wait()
        return result
    finally:
        processes.close()
