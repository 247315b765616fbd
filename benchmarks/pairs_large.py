"""A pass over 200,000 vectors, with progress and memory; the same on a GPU where there is one, or by Ray's workers.

python -m benchmarks.pairs_large [--faces 200000] [--dim 512] [--ray WORKERS]
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch

from benchmarks.bench_frame import machine, more_memory
from fraudit.audit.plan import AuditPlan
from fraudit.cluster.engine import RayEngine
from fraudit.cluster.pool import RayPool
from fraudit.stats.all_pairs import Swept, sweep
from fraudit.stats.all_pairs_pieces import passes_by
from fraudit.stats.all_pairs_torch import full_precision
from fraudit.stats.pairs import BINS
from fraudit.threads import thread_count


def spent(pool: RayPool) -> float:
    """Processor seconds of all workers so far."""
    import psutil  # which Ray brings

    pids = [pool._ray.get(actor.pid.remote()) for actor in pool.actors]
    return float(sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids))


def by_workers(rows: np.ndarray, people: np.ndarray, floor: float, workers: int, here: Swept) -> None:
    """The same by workers of Ray on this machine: seconds, their processor time, and whether it is the same."""
    engine = RayEngine.of(AuditPlan("dlib"), workers=workers)
    with passes_by(engine.pairs):
        sweep(rows[:3000], people[:3000], bins=BINS, floor=floor)
        pool = engine.pool
        before, started = spent(pool), time.perf_counter()
        there = sweep(rows, people, bins=BINS, floor=floor)
        seconds, used = time.perf_counter() - started, spent(pool) - before
    engine.close()
    names = ("counts", "left", "right", "scores")
    same = all(np.array_equal(getattr(here, name), getattr(there, name)) for name in names)
    print(
        f"ray, {workers} workers: {seconds:.1f} s, {used:.1f} s of theirs, {'the same' if same else 'OTHER'} figures"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faces", type=int, default=200_000)
    parser.add_argument("--dim", type=int, default=512)
    parser.add_argument("--ray", type=int, default=0, help="workers on this machine that do the same")
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
        done, seconds, used = 0, 0.0, 0.0

        def progress(scores: int) -> None:
            nonlocal done
            done += scores

        def once(device: str = device) -> None:
            nonlocal seconds, used
            started, used = time.perf_counter(), time.process_time()
            found[device] = sweep(rows, people, bins=BINS, floor=floor, device=device, progress=progress)
            seconds, used = time.perf_counter() - started, time.process_time() - used

        memory = more_memory(once)
        print(
            f"{device} ({thread_count()} cores): {seconds:.1f} s, {used:.1f} of CPU, {pairs / seconds / 1e6:,.0f} M "
            f"scores a second, {memory:,.0f} MB more memory, {len(found[device].scores):,} pairs kept, "
            f"{done:,} scores told",
            flush=True,
        )
    if given.ray:
        by_workers(rows, people, floor, given.ray, found["numpy"])
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
