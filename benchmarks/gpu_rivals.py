"""Train Vec2Face or NbNet on a GPU that is at hand for a quarter of an hour, from a pack of `gpu_training.py`.

    python benchmarks/gpu_training.py pack --shards SHARDS --out pack
    python benchmarks/gpu_rivals.py train dibigan --pack pack --student STUDENT --work work --out report --seconds 500
    python benchmarks/gpu_rivals.py judge --shards SHARDS --inverter report/dibigan --embedder dlib --judge CARD

`train` needs no black box: it measures how fast a step of each stage is, plans as many as the time allows, and leaves
the averaged weights and its log in `--out`. Stopped, it goes on from `--work`. `judge` runs where the black box is.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu_training import packed
from fraudit.diffusion.data.shards import load_shards
from fraudit.files.store import write_text_atomic
from fraudit.inverters.learned.presets import Recipe, recipe_named
from fraudit.inverters.learned.training import Learner

MEASURED = 12  # steps of each stage
LOOKS = 8  # at people held out, over the whole training


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def seconds_a_step(learner: Learner) -> float:
    """Of one step of every stage together, on a learner that is thrown away."""
    total = 0.0
    learner.prepare()
    each = learner.recipe.steps
    for stage in range(learner.steps // each):
        learner.step = stage * each + each - 1 - MEASURED
        for _ in range(3):
            learner.one_step()
        _wait(learner.device)
        begun = time.monotonic()
        for _ in range(MEASURED - 3):
            learner.one_step()
        _wait(learner.device)
        total += (time.monotonic() - begun) / (MEASURED - 3)
    return total


def _recipe(args: argparse.Namespace) -> Recipe:
    recipe = recipe_named(
        args.kind,
        args.preset,
        row=args.row,
        loss=args.loss,
        steps=args.steps or None,
        flow_steps=args.flow_steps,
    )
    return replace(recipe, rate=args.rate) if args.rate else recipe


def train(args: argparse.Namespace) -> None:
    """One training, until its steps or `--seconds` are over."""
    began = time.monotonic()
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    whole, watched = packed(args.pack)
    data = replace(whole, held_out=watched)
    if args.faces:
        data.held_out[args.faces : -args.faces] = True
    recipe, plan = _recipe(args), args.work / "recipe.json"
    if plan.is_file():
        recipe = replace(recipe, steps=json.loads(plan.read_text(encoding="utf-8"))["steps"])
    elif not args.steps:
        spare = replace(recipe, flow_steps=2)
        cost = seconds_a_step(
            Learner(spare, data, args.work / "spare", args.seed, _say, args.student, device)
        )
        shutil.rmtree(args.work / "spare", ignore_errors=True)
        left = args.seconds - (time.monotonic() - began) - args.reserve
        recipe = replace(recipe, steps=max(MEASURED + 4, int(left / cost)))
        _say(f"{cost * 1000:.0f} ms for a step of every stage; {recipe.steps} steps each, {left:.0f} s left")
    args.work.mkdir(parents=True, exist_ok=True)
    write_text_atomic(plan, json.dumps({"steps": recipe.steps}) + "\n")
    learner = Learner(recipe, data, args.work, args.seed, lambda text: None, args.student, device)
    learner.resume()
    learner.prepare()
    _say(f"ready at step {learner.step} of {learner.steps}, {time.monotonic() - began:.0f} s")
    saved = time.monotonic()
    last: dict[str, Any] = {}
    while learner.step < learner.steps and time.monotonic() - began < args.seconds - args.exporting:
        last = learner.one_step()
        if learner.step % max(1, learner.steps // (LOOKS * 5)) == 0:
            words = "  ".join(f"{key} {float(value):.4g}" for key, value in last.items())
            looks = learner.student is not None and learner.step % max(1, learner.steps // LOOKS) < 2
            seen = json.dumps(learner.told()) if looks else ""
            _say(f"step {learner.step}/{learner.steps}  {words}  {seen}")
        if args.keep_every and time.monotonic() - saved > args.keep_every:
            learner.save_state()
            saved = time.monotonic()
    _say(f"step {learner.step} of {learner.steps}  {json.dumps(learner.told()) if learner.student else ''}")
    folder = learner.export(time.monotonic() - began)
    shutil.copytree(folder, args.out, dirs_exist_ok=True)
    _say(f"exported, {time.monotonic() - began:.0f} s")
    if args.keep_every:
        learner.save_state()


def judge(args: argparse.Namespace) -> None:
    """What embedder and judge see in pictures of people held out; added to the card."""
    from fraudit.cli.train import runtime_of
    from fraudit.inverters.learned.inverter import amend, load
    from fraudit.inverters.learned.judging import evaluated

    referee = runtime_of(args.judge, None) if args.judge else None
    found = evaluated(load(args.inverter), load_shards(args.shards), runtime_of(args.embedder, None), referee)
    amend(args.inverter, {"evaluation": found})
    print(json.dumps(found, indent=2))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("train")
    one.add_argument("kind", choices=("dibigan", "nbnet"))
    one.add_argument("--preset", default="gpu")
    one.add_argument("--row")
    one.add_argument("--loss")
    one.add_argument("--steps", type=int, default=0)
    one.add_argument("--flow-steps", type=int)
    one.add_argument("--rate", type=float, default=0.0)
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--faces", type=int, default=0, help="of the pack's two ends, for a rehearsal")
    one.add_argument("--pack", type=Path, required=True)
    one.add_argument("--student", type=Path)
    one.add_argument("--work", type=Path, required=True)
    one.add_argument("--out", type=Path, required=True)
    one.add_argument("--seconds", type=float, required=True)
    one.add_argument("--reserve", type=float, default=30.0, help="for what is fitted first, and for writing")
    one.add_argument("--exporting", type=float, default=6.0, help="seconds kept for writing")
    one.add_argument("--keep-every", type=float, default=0.0, help="seconds between two states; 0: none")
    one.add_argument("--device", default="")
    two = verbs.add_parser("judge")
    two.add_argument("--shards", type=Path, required=True)
    two.add_argument("--inverter", type=Path, required=True)
    two.add_argument("--embedder", default="dlib")
    two.add_argument("--judge", default="")
    args = parser.parse_args()
    {"train": train, "judge": judge}[args.verb](args)


if __name__ == "__main__":
    sys.exit(main())
