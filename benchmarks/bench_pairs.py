"""All pairs: the histogram of their cosines and matches by group, beside a bare matrix product and scikit-learn."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from benchmarks.bench_frame import Bench, Row, more_memory
from fraudit.stats.all_pairs import sweep
from fraudit.stats.pairs import BINS, GroupCounts
from fraudit.threads import thread_count

FACES, DIM, GROUPS, THRESHOLD = 13_000, 512, 6, 0.14


def vectors(n: int = FACES, dim: int = DIM) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(f32[n,dim] unit rows, i64[n] people of four pictures each, str[n] groups)."""
    rng = np.random.default_rng(23)
    people = np.arange(n) // 4
    rows = rng.standard_normal((n // 4 + 1, dim), dtype=np.float32)[people]
    rows += rng.standard_normal((n, dim), dtype=np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows, people, (people % GROUPS).astype(str)


def ours(rows: np.ndarray, people: np.ndarray, groups: np.ndarray) -> None:
    """Histogram and matches by group in one pass."""
    counted = GroupCounts(people, groups)
    sweep(rows, people, bins=BINS, floor=THRESHOLD, take=counted.take)
    counted.result()


def bare(rows: np.ndarray) -> None:
    """The product of all rows with all rows, in blocks; nothing is done with it."""
    out = np.empty((2048, 2048), np.float32)
    for i in range(0, len(rows), 2048):
        for j in range(0, len(rows), 2048):
            a, b = rows[i : i + 2048], rows[j : j + 2048]
            np.matmul(a, b.T, out=out[: len(a), : len(b)])


def bare_by_core(rows: np.ndarray) -> None:
    """The same with one BLAS thread in each of as many threads as there are cores: not slower on a busy machine."""
    from concurrent.futures import ThreadPoolExecutor

    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(thread_count()) as pool:
        cuts = np.array_split(rows, thread_count())

        def part(mine: np.ndarray) -> None:
            out = np.empty((2048, 2048), np.float32)
            for i in range(0, len(mine), 2048):
                for j in range(0, len(rows), 2048):
                    a, b = mine[i : i + 2048], rows[j : j + 2048]
                    np.matmul(a, b.T, out=out[: len(a), : len(b)])

        list(pool.map(part, cuts))


def beside_the_product(bench: Bench) -> Row:
    """Share of the bare product's rate."""
    import torch  # noqa: F401  (an audit has it loaded; its count is the faster one)

    rows, people, groups = vectors()
    ways = {
        "ours": lambda: ours(rows, people, groups),
        "bare": lambda: bare(rows),
        "by core": lambda: bare_by_core(rows),
    }
    seconds = bench.best(ways)
    pairs, products = len(rows) * (len(rows) - 1) / 2, len(rows) ** 2
    rate, peer = pairs / seconds["ours"], products / min(seconds["bare"], seconds["by core"])
    return Row(
        f"all pairs of {FACES:,} x {DIM}: histogram and matches of {GROUPS} groups in one pass",
        "bare matrix product (the better of two ways), scores a second",
        rate / 1e6,
        peer / 1e6,
        rate / peer,
        0.8,
        "M/s",
        memory_mb=memory(FACES, DIM),
    )


def beside_scikit_learn(bench: Bench) -> Row:
    """Times the rate of the usual way: scikit-learn's chunks and numpy's histogram."""
    from sklearn.metrics import pairwise_distances_chunked

    rows, people, groups = vectors()
    codes = np.unique(groups, return_inverse=True)[1]
    edges = np.linspace(-1, 1, BINS + 1)

    def usual() -> None:
        total, matches = np.zeros(BINS, np.int64), np.zeros((GROUPS, GROUPS), np.int64)

        def reduce(distances: np.ndarray, start: int) -> None:
            nonlocal total
            scores, at = 1 - distances, np.arange(start, start + len(distances))
            use = (people[at][:, None] != people) & (at[:, None] < np.arange(len(rows)))
            total += np.histogram(scores[use], edges)[0]
            a, b = np.nonzero(use & (scores >= THRESHOLD))
            np.add.at(matches, (codes[at[a]], codes[b]), 1)

        for _ in pairwise_distances_chunked(rows, metric="cosine", reduce_func=reduce, working_memory=64):
            pass

    seconds = bench.best({"ours": lambda: ours(rows, people, groups), "usual": usual}, 2)
    return Row(
        f"the same {FACES:,} x {DIM}",
        "scikit-learn's pairwise_distances_chunked with np.histogram",
        seconds["ours"],
        seconds["usual"],
        seconds["usual"] / seconds["ours"],
        1,
    )


def memory(n: int, dim: int) -> float:
    """MB that the pass adds to a process of its own, which has the vectors and has loaded what it needs."""
    command = [sys.executable, "-m", "benchmarks.bench_pairs", str(n), str(dim)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Print the MB that one pass adds."""
    import torch  # noqa: F401

    n, dim = int(sys.argv[1]), int(sys.argv[2])
    rows, people, groups = vectors(n, dim)
    ours(rows[:64], people[:64], groups[:64])
    print(more_memory(lambda: ours(rows, people, groups)))


ROWS = (beside_the_product, beside_scikit_learn)

if __name__ == "__main__":
    main()
