"""What a smaller template costs and carries: match time, readable attributes, gaps between groups."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.analyses.shared.attributes import group_masks
from fraudit.stats.intervals import Difference, clustered_rate, interval_or_reason
from fraudit.stats.pca import Variant
from fraudit.stats.probes import Judge, RidgeFolds, fold_parts, identity_folds, person_weights
from fraudit.stats.robustness import group_gap
from fraudit.types import F32, F64, I64, Bool, Interval, PairList

GALLERY = 10_000
PROBES = 32
REPEATS = 7
LEAK_FACES = 2000
LEAK_CLASS = 30
LEAK_FOLDS = 10
LEAK_PENALTY = 0.1
_POPCOUNT = np.array([bin(i).count("1") for i in range(256)], np.uint8)


def _popcount(bits: np.ndarray) -> np.ndarray:
    count = getattr(np, "bitwise_count", None)  # numpy >= 2
    return count(bits) if count else _POPCOUNT[bits]


def _products(gallery: NDArray[Any], probes: F32) -> F32:
    return np.asarray(gallery.astype(np.float32, copy=False) @ probes.T)


def _clock() -> Callable[[], float]:
    """Processor time of this thread in s where it is fine enough (on Windows it is not), else the wall clock."""
    return time.thread_time if time.get_clock_info("thread_time").resolution < 1e-6 else time.perf_counter


def match_costs(
    unit: F32, dims: Sequence[int], rng: np.random.Generator
) -> dict[str, tuple[float, Interval]]:
    """name -> (time of a comparison relative to float32 in full, range over repeats), measured in turns here.

    PROBES templates against a gallery of GALLERY, as numpy does it on one thread of this machine; int8 and float16
    are widened on the fly, binary codes are compared by XOR and bit count. The thread's own processor time counts:
    by the wall clock, and on several threads, every code costs the same 1.00 on a machine that does other work.
    """
    from threadpoolctl import threadpool_limits

    gallery = unit[rng.integers(0, len(unit), GALLERY)]
    probes = np.ascontiguousarray(unit[rng.integers(0, len(unit), PROBES)])
    jobs: dict[str, Callable[[], object]] = {"float32": lambda: gallery @ probes.T}
    half, small = gallery.astype(np.float16), np.rint(gallery * 127).astype(np.int8)
    jobs["float16"] = lambda: half.astype(np.float32) @ probes.T
    jobs["int8"] = lambda: small.astype(np.float32) @ probes.T
    bits, probe_bits = np.packbits(gallery > 0, axis=1), np.packbits(probes > 0, axis=1)
    jobs["binary"] = lambda: [_popcount(bits ^ row).sum(axis=1, dtype=np.int32) for row in probe_bits]
    for d in dims:
        short, short_probes = np.ascontiguousarray(gallery[:, :d]), np.ascontiguousarray(probes[:, :d])
        tiny = np.rint(short * 127).astype(np.int8)
        jobs[f"pca-{d}"] = partial(_products, short, short_probes)
        jobs[f"pca-{d}-int8"] = partial(_products, tiny, short_probes)
    took = {name: np.empty(REPEATS) for name in jobs}
    clock = _clock()
    with threadpool_limits(1, user_api="blas"):
        for turn in range(-1, REPEATS):  # the first turn only warms up
            for name, job in jobs.items():
                start = clock()
                job()
                if turn >= 0:
                    took[name][turn] = clock() - start
    full = float(took["float32"].min())
    method = f"fastest to slowest of {REPEATS} repeats, over the fastest of float32"
    return {
        name: (
            float(t.min()) / full,
            Interval(float(t.min()) / full, float(t.max()) / full, 1.0, method),
        )
        for name, t in took.items()
    }


@dataclass(frozen=True, slots=True)
class Leak:
    """How well an attribute can be read from projected vectors, by d."""

    attribute: str
    n: int
    people: int
    auc: Mapping[int, tuple[float, Interval]]


def binary_attribute(values: np.ndarray) -> tuple[str, Bool, Bool] | None:
    """(label, known bool[N], positive bool[N]) of an attribute with few values; the commonest against the rest."""
    masks = group_masks(values)
    if not masks:
        return None
    known = np.any(list(masks.values()), axis=0)
    commonest = max(masks, key=lambda name: int(masks[name].sum()))
    label = "1" if set(masks) == {"0", "1"} else commonest
    return label, known, masks[label]


def leaks(
    unit: F32,
    subjects: I64,
    attributes: Mapping[str, np.ndarray],
    names: Sequence[str],
    dims: Sequence[int],
    rng: np.random.Generator,
) -> list[Leak]:
    """AUC of the linear probe on the first d axes, identity-disjoint folds, axes fitted in the training folds.

    Every person weighs the same. An attribute with fewer than LEAK_CLASS faces in a class is left out.
    """
    found = []
    benches: dict[bytes, tuple[Judge, RidgeFolds]] = {}
    sample = rng.permutation(len(unit))[:LEAK_FACES]
    for name in names:
        split = binary_attribute(np.asarray(attributes[name]))
        if split is None:
            continue
        label, known, positive = split
        rows = np.sort(sample[known[sample]])
        y, people = positive[rows], subjects[rows]
        if min(int(y.sum()), int((~y).sum())) < LEAK_CLASS or len(np.unique(people)) < 2 * LEAK_FOLDS:
            continue
        key = rows.tobytes()
        if key not in benches:
            seed = int(rng.integers(2**31))
            fold, weights = identity_folds(people, LEAK_FOLDS, seed), person_weights(people)
            judge = Judge(fold, fold_parts(people, LEAK_FOLDS, seed), weights)
            benches = {key: (judge, RidgeFolds(unit[rows], fold, weights))}  # one at a time: they are large
        judge, ridge = benches[key]
        read = ridge.truncated(y.astype(np.float64), list(dims), LEAK_PENALTY)
        auc = {}
        for at, d in enumerate(dims):
            one = {key: np.stack([-row[at], row[at]], axis=1) for key, row in read.items()}
            estimate = judge.auc(y.astype(np.int64), one)
            auc[d] = estimate.value, estimate.interval
        title = name if label == "1" else f"{name}={label}"
        found.append(Leak(title, len(rows), len(np.unique(people)), auc))
    return found


@dataclass(frozen=True, slots=True)
class Gaps:
    """FNMR of two groups at the same threshold, by d.

    Attributes:
        worse, better: groups, by their mean FNMR over all d.
        fnmr: group -> d -> (rate, interval or None, genuine pairs). reason: why intervals are missing.
        gap: d -> FNMR of `worse` less that of `better`, means over people.
    """

    worse: str
    better: str
    people: Mapping[str, int]
    fnmr: Mapping[str, Mapping[int, tuple[float, Interval | None, int]]]
    gap: Mapping[int, Difference]
    reason: str = ""


def group_gaps(
    variants: Mapping[int, Variant], pairs: PairList, subjects: I64, values: np.ndarray, name: str, floor: int
) -> Gaps | None:
    """FNMR per group of at least `floor` people as d shrinks; None where fewer than two groups are that large."""
    masks = group_masks(values)
    reason = ""
    rates: dict[str, dict[int, tuple[float, Interval | None, int]]] = {}
    means: dict[str, dict[int, F64]] = {}
    for label, mask in masks.items():
        chosen = pairs.same & mask[pairs.left] & mask[pairs.right]
        people = subjects[pairs.left[chosen]]
        if len(np.unique(people)) < max(floor, 2):
            continue
        group = f"{name}={label}"
        codes = np.unique(people, return_inverse=True)[1].ravel()
        counts = np.bincount(codes)
        rates[group], means[group] = {}, {}
        for d, variant in variants.items():
            missed = ~variant.accepted[chosen]
            interval, why = interval_or_reason(partial(clustered_rate, missed, people, people))
            reason = why or reason
            rates[group][d] = float(missed.mean()), interval, int(chosen.sum())
            means[group][d] = np.bincount(codes, weights=missed) / counts
    if len(rates) < 2:
        return None
    order = sorted(rates, key=lambda g: float(np.mean([rates[g][d][0] for d in variants])))
    better, worse = order[0], order[-1]
    gap = {d: _within(group_gap(means[better][d], means[worse][d])) for d in variants}
    people_of = {g: len(means[g][next(iter(variants))]) for g in rates}
    return Gaps(worse, better, people_of, rates, gap, reason)


def _within(gap: Difference) -> Difference:
    """A difference of rates lies within -1 and 1."""
    ends = gap.interval
    return Difference(gap.value, Interval(max(ends.low, -1.0), min(ends.high, 1.0), ends.level, ends.method))
