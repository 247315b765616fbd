"""Pictures a second of a training step at bf16, of two shapes of network, compiled and not.

python benchmarks/gpu_throughput.py --out report
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from fraudit.diffusion.model.building import build_unet
from fraudit.diffusion.model.unet import UNetConfig
from fraudit.diffusion.training.distributed import DistributedProcesses
from fraudit.diffusion.training.presets import PRESETS, Preset
from fraudit.files.store import write_text_atomic


def _rate(config: UNetConfig, batch: int, device: torch.device, compiled: bool, seconds: float) -> float:
    """Pictures a second of forward, backward and optimizer step at bf16."""
    network = build_unet(config).to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5, fused=True)
    model: Any = torch.compile(network) if compiled else network
    x = torch.randn(batch, 3, config.image_size, config.image_size, device=device)
    x = x.contiguous(memory_format=torch.channels_last)
    t = torch.randint(0, 1000, (batch,), device=device)
    identity = torch.randn(batch, config.identity_dim or 1, device=device)
    extra: dict[str, Any] = {"clean": True} if config.prior_spread > 0 else {}
    attributes = (
        torch.rand(batch, config.attribute_dim, device=device) if config.attribute_dim is not None else None
    )

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(device.type, torch.bfloat16):
            made = model(x, t, identity, attributes, **extra)
        (made.float() - x).square().mean().backward()
        optimizer.step()

    def wait() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize()

    for _ in range(3):
        step()
    wait()
    started, steps = time.monotonic(), 0
    while time.monotonic() - started < seconds:
        step()
        steps += 1
        if steps % 5 == 0:
            wait()
    wait()
    return steps * batch / (time.monotonic() - started)


def shapes(preset: Preset, dim: int = 128, entries: int = 30) -> dict[str, UNetConfig]:
    """The two shapes that are compared: the preset's, and one without pixel blocks that has 96 channels."""
    small = replace(preset.unet, identity_dim=dim, attribute_dim=entries, prior_spread=0.35)
    large = replace(small, num_channels=96, num_res_blocks=2, channel_mult=(1, 2, 3, 4), patch=1)
    return {preset.name: small, "96 channels, two blocks, no pixel blocks": large}


def throughput(args: argparse.Namespace) -> None:
    """Pictures a second of both shapes, compiled and not."""
    device = DistributedProcesses(args.device).device
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = True
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if device.type == "cuda" else "cpu",
        "torch": torch.__version__,
        "batch": args.batch,
        "pictures_a_second": {},
    }
    args.out.mkdir(parents=True, exist_ok=True)
    for name, config in shapes(PRESETS[args.preset]).items():
        for compiled in (False, True):
            label = f"{name}, {'compiled' if compiled else 'not compiled'}"
            if args.only and args.only not in label:
                continue
            started = time.monotonic()
            try:
                rate = _rate(config, args.batch, device, compiled, args.seconds)
            except Exception as error:  # a failed shape must not cost the others
                rate = float("nan")
                found[f"{label}: error"] = f"{type(error).__name__}: {error}"[:300]
            found["pictures_a_second"][label] = round(rate, 1)
            found[f"{label}: seconds in all"] = round(time.monotonic() - started, 1)
            print(f"{label}: {rate:.0f} pictures/s ({time.monotonic() - started:.0f} s in all)", flush=True)
            write_text_atomic(args.out / "throughput.json", json.dumps(found, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--preset", default="small-64")
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--only", default="", help="part of a label")
    parser.add_argument("--device", default="")
    parser.add_argument("--out", type=Path, required=True)
    throughput(parser.parse_args())


if __name__ == "__main__":
    main()
