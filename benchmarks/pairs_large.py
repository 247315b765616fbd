"""A pass over 200,000 vectors, with progress and memory, and the same on a GPU where there is one.

python -m benchmarks.pairs_large [--faces 200000] [--dim 512]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from benchmarks.bench_frame import machine, more_memory
from fraudit.stats.all_pairs import sweep
from fraudit.stats.all_pairs_torch import full_precision
from fraudit.stats.pairs import BINS
from fraudit.threads import thread_count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=512)
    given = parser.parse_args()
    rng = np.random.default_rng(1)
    people = np.arange(given.faces) // 4
    rows = rng.standard_normal((given.faces, given.dim), dtype=np.float32)
    rows += rng.standard_normal((given.faces // 4 + 1, given.dim), dtype=np.float32)[people]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    floor = 5 / given.dim**0.5
    print(machine(), flush=True)
    pairs = given.faces**2 / 2
    found = {}
    devices = ["numpy"] + (["cuda"] if torch.cuda.is_available() else [])
    for device in devices:
        sweep(rows[:3000], people[:3000], bins=BINS, floor=floor, device=device)
        done, seconds = 0, 0.0

        def progress(scores: int) -> None:
            nonlocal done
            done += scores

        def once(device: str = device) -> None:
            nonlocal seconds
            started = time.perf_counter()
            found[device] = sweep(rows, people, bins=BINS, floor=floor, device=device, progress=progress)
            seconds = time.perf_counter() - started

        memory = more_memory(once)
        print(
            f"{device} ({thread_count()} cores): {seconds:.1f} s, {pairs / seconds / 1e6:,.0f} M scores a second, "
            f"{memory:,.0f} MB more memory, {len(found[device].scores):,} pairs kept, {done:,} scores told",
            flush=True,
        )
    if len(devices) > 1:
        one, two = found["numpy"], found["cuda"]
        moved = int(np.abs(one.counts - two.counts).sum()) // 2
        print(f"scores in another bin by rounding: {moved:,} of {one.pairs:,}; kept {len(two.scores):,}")
        a = torch.from_numpy(rows[:16384]).cuda()
        with full_precision():
            a[:4096] @ a.T
            torch.cuda.synchronize()
            started = time.perf_counter()
            for _ in range(10):
                a[:4096] @ a.T
            torch.cuda.synchronize()
        bare = 10 * 4096 * 16384 / (time.perf_counter() - started)
        print(f"bare product on the GPU in 32 bits: {bare / 1e6:,.0f} M scores a second")


if __name__ == "__main__":
    main()
