"""Train an inverter with attributes on a GPU that is at hand for a quarter of an hour.

    python benchmarks/gpu_training.py pack --shards SHARDS --embedder dlib --init FOLDER --asks 20000 --out pack
    python benchmarks/gpu_training.py train --pack pack --questions pack --work work --out report --seconds 560

`pack` runs where the faces and the black box are: people who are trained on, pictures of people held out that only tell
when to stop, and what the black box says of pictures that the start predicts. `train` needs neither. It begins with the
weights of `--init`, or goes on from `work`, and leaves the inverter (`last`, and `half` from half-way) as int8 and the
log in `--out`. `benchmarks/gpu_throughput.py` measures how fast a step is.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from fraudit.diffusion.data.shards import Shards, load_shards, visible_mask
from fraudit.diffusion.model.checkpoint import save_inverter
from fraudit.diffusion.model.conditioning import scaled_identity
from fraudit.diffusion.sampling import counter_noise
from fraudit.diffusion.training.distributed import DistributedProcesses
from fraudit.diffusion.training.evaluate import held_out_rows
from fraudit.diffusion.training.loop import Trainer
from fraudit.diffusion.training.options import TrainOptions
from fraudit.diffusion.training.presets import PRESETS, Preset
from fraudit.diffusion.training.state import STATE
from fraudit.diffusion.training.student import recognition_loss
from fraudit.diffusion.training.student_questions import StudentQuestions
from fraudit.diffusion.training.workflow import data_facts, inverter_facts, origin_of
from fraudit.files.store import write_atomic, write_text_atomic
from fraudit.types import U8

WATCHED = (
    512  # pictures of people held out that tell when to stop; the first JUDGED people are kept for judging
)
JUDGED = 128
QUALITY = 90


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


# --- Pack -----------------------------------------------------------------------------------------------------------


def _blobs(pictures: U8, quality: int = QUALITY) -> tuple[np.ndarray, np.ndarray]:
    """(u8[M] of all encoded pictures, i64[N+1] where each begins)."""
    coded = []
    for picture in pictures:
        done, data = cv2.imencode(
            ".webp", np.ascontiguousarray(picture[..., ::-1]), [cv2.IMWRITE_WEBP_QUALITY, quality]
        )
        assert done
        coded.append(data.tobytes())
    return np.frombuffer(b"".join(coded), np.uint8), np.cumsum([0, *map(len, coded)], dtype=np.int64)


def _pictures(blob: np.ndarray, offsets: np.ndarray) -> U8:
    """u8[N,S,S,3] of what `_blobs` made."""
    return np.stack(
        [
            np.asarray(cv2.imdecode(blob[a:b], cv2.IMREAD_COLOR))[..., ::-1]
            for a, b in itertools.pairwise(offsets)
        ]
    )


def _stored(folder: Path, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Arrays of the shards' faces `rows`, pictures as they are stored, attributes in bytes."""
    from safetensors.numpy import load_file

    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    parts = [load_file(folder / entry["file"]) for entry in index["shards"]]
    blobs: list[bytes] = []
    for part in parts:
        blob, offsets = part.pop("pictures"), part.pop("offsets")
        blobs += [blob[a:b].tobytes() for a, b in itertools.pairwise(offsets)]
    whole = {key: np.concatenate([part[key] for part in parts])[rows] for key in parts[0]}
    chosen = [blobs[row] for row in rows]
    attributes = whole.pop("attributes")
    return {
        "vectors": whole["vectors"],
        "vectors_mirror": whole["vectors_mirror"],
        "corners": whole["corners"].astype(np.float16),
        "subjects": whole["subjects"].astype(np.int32),
        "attributes": np.where(attributes < 0, 255, np.round(attributes * 250)).astype(np.uint8),
        "pictures": np.frombuffer(b"".join(chosen), np.uint8),
        "offsets": np.cumsum([0, *map(len, chosen)], dtype=np.int64),
    }


def pack(args: argparse.Namespace) -> None:
    """Everything that the training needs, in two files and the start's folder."""
    from safetensors.numpy import save_file

    data = load_shards(args.shards)
    held = held_out_rows(data, True)
    kept = data.subjects[held[: min(JUDGED, len(held) // 2)]]
    free = np.flatnonzero(data.held_out & ~np.isin(data.subjects, kept))
    if not len(free):
        raise SystemExit(
            "expected at least two people held out: one to judge, one to watch; pack more people"
        )
    watched = np.sort(np.random.default_rng(1).permutation(free)[:WATCHED])
    args.out.mkdir(parents=True, exist_ok=True)
    rows = np.concatenate([np.flatnonzero(~data.held_out), watched])
    tensors = _stored(args.shards, rows)
    tensors["watched"] = np.isin(rows, watched).astype(np.uint8)
    write_atomic(args.out / "data.safetensors", lambda path: save_file(tensors, path))
    shutil.copyfile(args.shards / "index.json", args.out / "index.json")
    _say(f"{len(rows)} faces, {(args.out / 'data.safetensors').stat().st_size / 2**20:.1f} MiB")
    if not args.asks:
        return
    shutil.copytree(args.init, args.out / "init", dirs_exist_ok=True)
    questions = _questions(args, data)
    write_atomic(args.out / "questions.safetensors", lambda path: save_file(questions, path))
    _say(f"questions: {(args.out / 'questions.safetensors').stat().st_size / 2**20:.1f} MiB")


def _questions(args: argparse.Namespace, data: Shards) -> dict[str, np.ndarray]:
    """What the black box says of pictures that the start predicts, encoded before it is asked."""
    from fraudit.diffusion.model.checkpoint import load_inverter_network
    from fraudit.diffusion.model.closed_form import ClosedFormUNet
    from fraudit.diffusion.sampling.gaussian import GaussianDiffusion
    from fraudit.diffusion.training.evaluate import embed_pictures
    from fraudit.diffusion.training.student_questions import predicted, require_same_black_box
    from fraudit.embedding.devices import channels_last
    from fraudit.embedding.loading import load_embedder
    from fraudit.embedding.runtime import EmbedderRuntime
    from fraudit.inverters.geometry import landmarks_of

    runtime = EmbedderRuntime(load_embedder(args.embedder, weights=args.weights))
    card = require_same_black_box(args.init, runtime)
    network = load_inverter_network(args.init)[0]
    assert isinstance(network, ClosedFormUNet)
    channels_last(network)
    process = GaussianDiffusion(card["schedule"], learn_sigma=False)
    rows = np.flatnonzero(~data.held_out)
    points = landmarks_of(data.index["size_px"])
    blobs, lengths, vectors = [], [], []
    for start in range(0, args.asks, 64):
        positions = torch.arange(start, min(start + 64, args.asks))
        made = predicted(
            network, process, data, rows, positions, args.seed, bool(card["unit_scaled"]), args.bf16
        )
        blob, offsets = _blobs(made)
        answer, ok = embed_pictures(runtime, _pictures(blob, offsets), points)
        for i in np.flatnonzero(ok):
            blobs.append(blob[offsets[i] : offsets[i + 1]])
            lengths.append(len(blobs[-1]))
        vectors.append(answer[ok])
        if start % 1024 == 0:
            _say(f"asked {start} of {args.asks}")
    return {
        "pictures": np.concatenate(blobs),
        "offsets": np.cumsum([0, *lengths], dtype=np.int64),
        "vectors": np.concatenate(vectors).astype(np.float16),
    }


def load_pack(folder: Path) -> tuple[Shards, Shards]:
    """(faces to train on, faces that are watched) of a pack."""
    whole, watched = packed(folder)
    return rows_of(whole, np.flatnonzero(~watched)), rows_of(whole, np.flatnonzero(watched))


def rows_of(data: Shards, rows: np.ndarray) -> Shards:
    """These faces alone."""
    names = ("pictures", "visible", "vectors", "vectors_mirror", "subjects", "held_out", "attributes")
    return replace(data, **{name: getattr(data, name)[rows] for name in names})


def packed(folder: Path) -> tuple[Shards, np.ndarray]:
    """All faces of a pack, none held out, and bool[N], which are watched."""
    from safetensors.numpy import load_file

    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    part = load_file(folder / "data.safetensors")
    pictures = _pictures(part["pictures"], part["offsets"])
    visible = np.stack([visible_mask(c.astype(np.float32), index["size_px"]) for c in part["corners"]])
    attributes = np.where(part["attributes"] == 255, -1, part["attributes"] / np.float32(250)).astype(
        np.float32
    )

    whole = Shards(
        pictures=pictures,
        visible=visible,
        vectors=part["vectors"].astype(np.float32),
        vectors_mirror=part["vectors_mirror"].astype(np.float32),
        subjects=part["subjects"].astype(np.int64),
        held_out=np.zeros(len(pictures), bool),
        attributes=attributes,
        index=index,
    )
    return whole, part["watched"].astype(bool)


def load_questions(folder: Path) -> StudentQuestions:
    """The black box's answers in a pack."""
    from safetensors.numpy import load_file

    part = load_file(folder / "questions.safetensors")
    return StudentQuestions(
        _pictures(part["pictures"], part["offsets"]), part["vectors"].astype(np.float32), "packed"
    )


# --- Train ---------------------------------------------------------------------------------------------------------


class Watch:
    """Losses of the averaged network over people held out: when a longer training only remembers."""

    def __init__(self, trainer: Trainer, data: Shards, count: int) -> None:
        device, preset = trainer.device, trainer.preset
        self._trainer = trainer
        self._x = torch.from_numpy(data.pictures[:count]).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
        self._mask = torch.from_numpy(data.visible[:count]).to(device)[:, None].float()
        dim = data.vectors.shape[1]
        self._identity = torch.from_numpy(scaled_identity(data.vectors[:count], dim, preset.unit_scaled)).to(
            device
        )
        self._network = trainer.averaged()
        self.rows: list[dict[str, float]] = []

    @torch.no_grad()
    def look(self) -> dict[str, float]:
        """Squared error and student's loss of x_0 at four noise levels, attributes unknown."""
        trainer, network = self._trainer, self._network
        network.load_state_dict(trainer.ema.state_dict())
        positions = torch.arange(len(self._x), device=trainer.device)
        noise = counter_noise.normal(99, 0, positions, tuple(self._x.shape[1:]))
        row: dict[str, float] = {"step": trainer.step}
        for t in (150, 400, 650, 950):
            errors, persons = [], []
            for part in torch.arange(len(self._x), device=trainer.device).split(128):
                x, mask, identity = self._x[part], self._mask[part], self._identity[part]
                times = torch.full((len(part),), t, device=trainer.device)
                x_t = trainer.process.q_sample(x, times, noise[part])
                made = network(x_t, times, identity, None, clean=True)  # type: ignore[call-arg]
                errors.append(((made - x).square() * mask).flatten(1).mean(1))
                if trainer._student is not None:
                    wanted = network.standardised(identity)  # type: ignore[operator]
                    persons.append(recognition_loss(trainer._student, made, x, mask, wanted)[1])
            row[f"error@{t}"] = round(float(torch.cat(errors).mean()), 5)
            if persons:
                row[f"person@{t}"] = round(float(torch.cat(persons).mean()), 5)
        self.rows.append(row)
        return row


def recipe(args: argparse.Namespace) -> Preset:
    """The preset with what this training changes."""
    preset = PRESETS[args.preset]
    changes: dict[str, Any] = {"unet": replace(preset.unet, dropout=args.dropout)}
    if args.student_steps:
        changes["student_steps"] = args.student_steps
    if args.warmup:
        changes["warmup"] = args.warmup
    if args.lr:
        changes["lr"] = args.lr
    for name in ("untold", "exchanged"):
        if getattr(args, name) >= 0:
            changes[name] = getattr(args, name)
    return replace(preset, **changes)


def _export(trainer: Trainer, folder: Path, index: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
    """The averaged weights as a finished inverter in int8."""
    preset, weights = trainer.preset, trainer.ema.state_dict()
    card = {
        **inverter_facts(index),
        **data_facts(index),
        **facts,
        "departures": [
            *preset.departures,
            f"dropout {preset.unet.dropout:g}: on a GPU each face is seen some forty times",
        ],
        "unet": trainer.config.as_dict(),
        "schedule": preset.schedule,
        "size_px": preset.unet.image_size,
        "steps": trainer.step,
        "ema": preset.ema,
        "temperature": preset.temperature,
        "guidance": preset.guidance,
        "asked_guidance": preset.asked_guidance,
        "sampling_steps": preset.sampling_steps,
        "unit_scaled": preset.unit_scaled,
        "identity": True,
        "attributes_labelled": trainer.labelled,
        "parameters": sum(value.numel() for value in weights.values()),
        "precision": trainer.precision,
        "torch": torch.__version__,
    }
    save_inverter(folder, weights, card, "int8")


def train(args: argparse.Namespace) -> None:
    """Train until `--seconds` are up, measured from the start of the process."""
    began = time.monotonic()
    processes = DistributedProcesses(args.device)
    data, watched = load_pack(args.pack)
    questions = load_questions(args.questions) if args.questions else None
    _say(f"{len(data)} faces to train on, {len(watched)} watched, {time.monotonic() - began:.0f} s")
    preset = recipe(args)
    options = TrainOptions(
        steps=10**9,
        batch=args.batch,
        seed=args.seed,
        attributes=args.attributes,
        checkpoint_every=10**9,
        log_every=args.log_every,
        report_every=10**9,
        device=args.device,
        compile=not args.no_compile,
        precision=args.precision,
    )
    facts = {
        "preset": preset.name,
        "batch": args.batch,
        "seed": args.seed,
        "asks": 0 if questions is None else len(questions.pictures),
        "dropout": args.dropout,
        "attributes": args.attributes,
        "device": torch.cuda.get_device_name() if processes.device.type == "cuda" else "cpu",
    }
    if args.init:
        facts["init"] = origin_of(args.init)
    args.work.mkdir(parents=True, exist_ok=True)
    args.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(args.work, data, preset, options, processes, facts, _say, questions)
    resumed = (args.work / STATE).is_file()
    if resumed:
        trainer.resume()
    elif args.init:
        trainer.begin_from(args.init)
    _say(f"ready at step {trainer.step}, {time.monotonic() - began:.0f} s")

    def left() -> float:
        return args.seconds - args.reserve - (time.monotonic() - began)

    def until(share: Callable[[], bool], watch: Watch) -> None:
        while not share():
            trainer._one_step()
            if trainer.step % args.log_every == 0:
                loss = trainer.flush()
                if trainer.step % args.watch_every == 0:
                    _say(f"step {trainer.step}  loss {loss:.4f}  {json.dumps(watch.look())}")
                    write_text_atomic(args.out / "watch.json", json.dumps(watch.rows) + "\n")

    watch = Watch(trainer, watched, args.watched)
    _say(f"at the start: {json.dumps(watch.look())}")
    first = trainer.step
    until(lambda: trainer.step - first >= args.measured, watch)  # the compiler's time is in these
    trainer.flush()
    started, counted = time.monotonic(), trainer.step
    until(lambda: trainer.step - counted >= args.measured, watch)
    trainer.flush()
    rate = (trainer.step - counted) / (time.monotonic() - started)
    steps = args.steps or trainer.step + max(1, int(rate * left() * 0.95))
    trainer.options = replace(trainer.options, steps=steps)
    facts |= {"rate": round(rate * args.batch, 1), "planned_steps": steps, "seconds": args.seconds}
    _say(f"{rate * args.batch:.0f} pictures/s; {steps} steps planned, {left():.0f} s left")
    half = trainer.step + (steps - trainer.step) // 2
    until(lambda: trainer.step >= half or left() <= 0, watch)
    _export(trainer, args.out / "half", data.index, facts)
    until(lambda: trainer.step >= steps or left() <= 0, watch)
    _say(f"step {trainer.step} of {steps}, at the end: {json.dumps(watch.look())}")
    write_text_atomic(args.out / "watch.json", json.dumps(watch.rows) + "\n")
    _export(trainer, args.out / "last", data.index, facts)
    trainer.flush()
    shutil.copyfile(args.work / "loss.jsonl", args.out / "loss.jsonl")
    _say(f"exported, {time.monotonic() - began:.0f} s")
    if args.keep_state:
        trainer.save()
        _say(f"state kept, {time.monotonic() - began:.0f} s")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("pack")
    one.add_argument("--shards", type=Path, required=True)
    one.add_argument("--embedder", default="dlib")
    one.add_argument("--weights", type=Path)
    one.add_argument("--init", type=Path)
    one.add_argument("--asks", type=int, default=0)
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--bf16", action="store_true")
    one.add_argument("--out", type=Path, required=True)
    two = verbs.add_parser("train")
    two.add_argument("--pack", type=Path, required=True)
    two.add_argument("--questions", type=Path)
    two.add_argument("--init", type=Path)
    two.add_argument("--work", type=Path, required=True)
    two.add_argument("--seconds", type=float, required=True)
    two.add_argument("--reserve", type=float, default=25.0)
    two.add_argument("--steps", type=int, default=0)
    two.add_argument("--student-steps", type=int, default=0)
    two.add_argument("--warmup", type=int, default=0)
    two.add_argument("--attributes", default="set3")
    two.add_argument("--dropout", type=float, default=0.1)
    two.add_argument("--seed", type=int, default=0)
    two.add_argument("--log-every", type=int, default=50)
    two.add_argument("--watch-every", type=int, default=500)
    two.add_argument("--measured", type=int, default=100)
    two.add_argument("--precision", default="")
    two.add_argument("--lr", type=float, default=0.0)
    two.add_argument("--untold", type=float, default=-1.0)
    two.add_argument("--exchanged", type=float, default=-1.0)
    two.add_argument("--no-compile", action="store_true")
    two.add_argument("--watched", type=int, default=WATCHED)
    two.add_argument("--keep-state", action="store_true")
    two.add_argument("--preset", default="small-64")
    two.add_argument("--batch", type=int, default=256)
    two.add_argument("--device", default="")
    two.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    {"pack": pack, "train": train}[args.verb](args)


if __name__ == "__main__":
    sys.exit(main())
