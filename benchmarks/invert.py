"""What each part of our sampling brings, as ratios against the plain arrangement.

    python benchmarks/invert.py [--preset small-64] [--batch 4] [--repeats 3] [--embedder dlib] [--inverter auto]

The plain reference is the same network as the guided-diffusion release arranges it: 1x1 convolutions over
contiguous pictures, attention as two matrix products with a softmax in between, gradients recorded, and two
forwards for guidance. Timings are the minimum over interleaved repeats; results go to standard output as
JSON with `--json`. Identity similarity of the samplers, paired over the faces, is that of a trained inverter
(`--inverter`: auto takes the bundled one, none leaves it out).
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from fraudit.diffusion.model.building import build_unet
from fraudit.diffusion.model.unet import AttentionBlock, UNet, with_conditions
from fraudit.diffusion.sampling.samplers import CHUNK, guided
from fraudit.diffusion.training.presets import preset_named

DIM = 128
PRIOR_SPREAD = 0.4  # about what the closed form leaves unexplained


class PlainAttention(nn.Module):
    """The release's arrangement of an attention block, with the weights of ours."""

    def __init__(self, block: AttentionBlock) -> None:
        super().__init__()
        self.block = block

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        block = self.block
        batch, channels, *sides = x.shape
        flat = x.reshape(batch, channels, -1)
        normed = nn.functional.group_norm(flat.float(), 32, block.norm.weight, block.norm.bias).type(x.dtype)
        qkv = block.qkv(normed)
        width = channels // block.heads
        if block.new_order:
            q, k, v = (part.reshape(batch * block.heads, width, -1) for part in qkv.chunk(3, dim=1))
        else:
            q, k, v = qkv.reshape(batch * block.heads, 3 * width, -1).split(width, dim=1)
        scale = 1 / math.sqrt(math.sqrt(width))
        weight = torch.softmax(torch.einsum("bct,bcs->bts", q * scale, k * scale).float(), dim=-1).type(
            q.dtype
        )
        mixed = torch.einsum("bts,bcs->bct", weight, v).reshape(batch, channels, -1)
        return (flat + block.proj_out(mixed)).reshape(batch, channels, *sides)


def network_of(preset: str, plain_attention: bool, channels_last: bool, device: str) -> UNet:
    """A network with the same seeded weights in either arrangement."""
    torch.manual_seed(0)
    recipe = preset_named(preset)
    shape = with_conditions(recipe.unet, DIM, None)
    if recipe.residual:
        shape = replace(shape, prior_spread=PRIOR_SPREAD, prior_schedule=recipe.schedule)
    network = build_unet(shape).eval()
    for parameter in network.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.02)
    if plain_attention:
        stages = [*network.input_blocks, network.middle_block, *network.output_blocks]
        for stage in stages:
            for place, layer in enumerate(stage):
                if isinstance(layer, AttentionBlock):
                    stage[place] = PlainAttention(layer)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return network.to(device, memory_format=layout)


def measured(
    variants: dict[str, Callable[[], Any]], repeats: int, device: str
) -> dict[str, dict[str, float]]:
    """Minimum wall and CPU seconds of each variant; repeats are interleaved so that load falls on all alike."""
    for run in variants.values():
        run()
    best = {name: {"wall_s": math.inf, "cpu_s": math.inf} for name in variants}
    for _ in range(repeats):
        for name, run in variants.items():
            wall, cpu = time.perf_counter(), time.process_time()
            run()
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            best[name]["wall_s"] = min(best[name]["wall_s"], time.perf_counter() - wall)
            best[name]["cpu_s"] = min(best[name]["cpu_s"], time.process_time() - cpu)
    return best


def forwards(preset: str, batch: int, repeats: int, device: str) -> dict[str, Any]:
    """One guided forward of `batch` pictures in each arrangement, and how far the answers differ."""
    size = preset_named(preset).unet.image_size
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, 3, size, size, generator=generator).to(device)
    t = torch.full((batch,), 500, device=device)
    identity = torch.randn(batch, DIM, generator=generator).to(device)

    def variant(plain: bool, last: bool, two: bool, inference: bool) -> Callable[[], torch.Tensor]:
        network = network_of(preset, plain, last, device)
        layout = torch.channels_last if last else torch.contiguous_format
        ask = guided(network, identity, None, 2.0, two_passes=two)

        def run() -> torch.Tensor:
            if inference:
                with torch.inference_mode():
                    return ask(x.contiguous(memory_format=layout), t)
            return ask(x, t).detach()

        return run

    variants = {
        "plain": variant(True, False, True, False),
        "ours": variant(False, True, False, True),
        "ours without channels_last": variant(False, False, False, True),
        "ours without fused attention": variant(True, True, False, True),
        "ours with two guidance forwards": variant(False, True, True, True),
        "ours without inference_mode": variant(False, True, False, False),
    }
    if device.startswith("cuda"):
        network = network_of(preset, False, True, device)
        compiled = torch.compile(network)
        ask = guided(compiled, identity, None, 2.0)

        def run_compiled() -> torch.Tensor:
            with torch.inference_mode():
                return ask(x.contiguous(memory_format=torch.channels_last), t)

        variants["ours with torch.compile"] = run_compiled
    reference, answer = variants["plain"](), variants["ours"]()
    seconds = measured(variants, repeats, device)
    key = "wall_s" if device.startswith("cuda") else "cpu_s"
    return {
        "seconds": seconds,
        "speed_against_plain": {name: seconds["plain"][key] / s[key] for name, s in seconds.items()},
        "compared_by": key,
        "largest_difference": float((reference - answer).abs().max()),
        "largest_answer": float(reference.abs().max()),
    }


def sampling(preset: str, pictures: int, device: str) -> dict[str, Any]:
    """Seconds a picture at 10 steps with guidance, in batches of `pictures`."""
    from fraudit.inverters.id3pm import Id3pm

    recipe = preset_named(preset)
    network = network_of(preset, False, True, device)
    card = {"embedder_fingerprint": "", "schedule": recipe.schedule, "unit_scaled": True}
    inverter = Id3pm(network, card, device)
    vectors = np.random.default_rng(0).standard_normal((pictures, DIM)).astype(np.float32)
    wall, cpu = time.perf_counter(), time.process_time()
    inverter.invert(vectors, np.arange(pictures), steps=10)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    threads = torch.get_num_threads()
    return {
        "pictures": pictures,
        "threads": threads,
        "chunk": inverter.chunk,
        "wall_s_per_picture": wall / pictures,
        "cpu_s_per_picture": cpu / pictures,
        "s_per_picture_on_idle_threads": cpu / pictures / threads,
    }


def similarities(inverter: str, embedder: str, dataset: str, faces: int, ancestral: int) -> dict[str, Any]:
    """Identity of 10 fast steps against the ancestral ones of the paper: guidance 2, the same faces and seeds."""
    from fraudit.api import open_inverter
    from fraudit.diffusion.training.evaluate import summary
    from fraudit.faces.detect import Locator
    from fraudit.faces.sources import open_faces, take
    from fraudit.inverters.inverting import invert_vectors

    trained, runtime = open_inverter(embedder, inverter)
    opened = open_faces(dataset)
    chosen = take(opened, np.random.default_rng(0).permutation(len(opened))[:faces])
    locate = None if chosen.landmarks is not None else Locator()
    found = runtime.embed_faces(chosen, locate=locate)
    vectors = found.vectors[found.ok]
    result: dict[str, Any] = {
        "faces": len(vectors),
        "embedder": embedder,
        "dataset": dataset,
        "guidance": 2.0,
        "temperature": getattr(trained, "temperature", None),
    }
    rows = {}
    for name, options in {
        "dpm++ 10": {"sampler": "dpm++", "steps": 10},
        f"ancestral {ancestral}": {"sampler": "ancestral", "steps": ancestral},
    }.items():
        started = time.perf_counter()
        rows[name] = invert_vectors(trained, runtime, vectors, guidance=2.0, **options).similarity
        seconds = time.perf_counter() - started
        result[name] = {**summary(rows[name][np.isfinite(rows[name])]), "seconds": seconds}
    fast, slow = rows.values()
    both = np.isfinite(fast) & np.isfinite(slow)
    result["gain of dpm++ 10, paired"] = summary((fast - slow)[both])
    result["times fewer forwards"] = ancestral / 10
    return result


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="small-64")
    parser.add_argument("--batch", type=int, default=CHUNK)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--pictures", type=int, default=8)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--inverter", default="auto", help="auto, none, or a folder")
    parser.add_argument("--embedder", default="dlib")
    parser.add_argument("--dataset", default="sample")
    parser.add_argument("--faces", type=int, default=32)
    parser.add_argument("--ancestral", type=int, default=250)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    found: dict[str, Any] = {
        "preset": options.preset,
        "batch": options.batch,
        "machine": {
            "cpu": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "gpu": torch.cuda.get_device_name() if options.device.startswith("cuda") else None,
            "torch": torch.__version__,
        },
        "forward": forwards(options.preset, options.batch, options.repeats, options.device),
        "sampling": sampling(options.preset, options.pictures, options.device),
        "similarity": (
            similarities(
                options.inverter, options.embedder, options.dataset, options.faces, options.ancestral
            )
            if options.inverter != "none"
            else {"missing": "--inverter none"}
        ),
    }
    if options.json:
        json.dump(found, sys.stdout, indent=2)
        print()
        return
    forward, made = found["forward"], found["sampling"]
    print(f"{options.preset}, batches of {options.batch}, {found['machine']}")
    print(
        f"answers differ by at most {forward['largest_difference']:.1e} (of {forward['largest_answer']:.2f})"
    )
    for name, ratio in forward["speed_against_plain"].items():
        print(f"  {name:32s} {ratio:5.2f} x the plain arrangement")
    print(
        f"10 steps with guidance, {made['pictures']} pictures: {made['wall_s_per_picture']:.1f} s each "
        f"({made['cpu_s_per_picture']:.1f} s of CPU on {made['threads']} threads)"
    )
    print("identity similarity to the source, mean (95 %):")
    for name, value in found["similarity"].items():
        if isinstance(value, dict):
            print(
                f"  {name:32s} {value['mean']:+.4f} ({value['low']:+.4f} to {value['high']:+.4f}; n = {value['n']})"
            )
        else:
            print(f"  {name:32s} {value}")


if __name__ == "__main__":
    main()
