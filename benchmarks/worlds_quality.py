"""Worlds for discarding by quality: one in which quality knows nothing, one in which it knows the noise.

Also worlds for what a data set is said to be: planted wrong labels, people under two names, pictures twice; and for
labels that vary within people, with and without an effect.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.worlds import Kind, World, make
from fraudit.stats import discard
from fraudit.stats.conditions import Matrix, condition_matrix
from fraudit.stats.label_errors import misplaced
from fraudit.stats.pairs import capped_genuine, impostor_pairs, pair_cosines
from fraudit.stats.two_names import two_names
from fraudit.types import F64, I64, Bool

THRESHOLD = 0.45


def errors_of(world: World, threshold: float = THRESHOLD) -> tuple[Bool, I64, I64]:
    """(genuine pairs below the threshold bool[P], both pictures i64[P])."""
    left, right = capped_genuine(world.subjects, 0)
    return pair_cosines(world.unit, left, right) < threshold, left, right


def noisy_quality(world: World, knows: float, seed: int, by_person: float = 0.0) -> F64:
    """f64[N]: the noise of each picture turned around, known to a share; 0 knows nothing.

    Args:
        by_person: share of the random part that is a person's and not a picture's.
    """
    rng = np.random.default_rng([seed, 19])
    n, people = len(world.subjects), int(world.subjects.max()) + 1
    own = np.sqrt(by_person) * rng.normal(size=people)[world.subjects]
    chance = own + np.sqrt(1 - by_person) * rng.normal(size=n)
    signal = -np.log(world.quality)
    return np.asarray(knows * (signal - signal.mean()) / signal.std() + np.sqrt(1 - knows**2) * chance)


def null_discard(
    seed: int, people: int = 120, kind: Kind = "mild", by_person: float = 0.5
) -> tuple[bool, bool]:
    """(a gain is found for any of three random qualities, one is named best); the truth is no to both."""
    world = make(people, kind, seed)
    errors, left, right = errors_of(world)
    qualities = {f"q{k}": noisy_quality(world, 0.0, 7 * seed + k, by_person) for k in range(3)}
    found = discard.compare_measures(qualities, errors, left, right, world.subjects)
    gains = any(found.p_holm[n] <= 0.05 for n in found.curves)
    return gains, bool(found.best)


def planted_discard(seed: int, people: int = 120, kind: Kind = "mild") -> tuple[str, bool]:
    """(the measure that is named best, whether the good one's gain is found): the truth is `good` and yes."""
    world = make(people, kind, seed)
    errors, left, right = errors_of(world)
    qualities = {
        "good": noisy_quality(world, 0.95, 7 * seed),
        "weak": noisy_quality(world, 0.3, 7 * seed + 1),
        "none": noisy_quality(world, 0.0, 7 * seed + 2),
    }
    found = discard.compare_measures(qualities, errors, left, right, world.subjects)
    return found.best, found.p_holm["good"] <= 0.05 and found.curves["good"].gain.value > 0


# -- what the data is said to be


def swapped_labels(world: World, share: float, seed: int) -> tuple[I64, Bool]:
    """(subjects with a share of the pictures dealt to each other's people, bool[N] whose label is now wrong)."""
    rng = np.random.default_rng([seed, 191])
    said = world.subjects.copy()
    moved = np.sort(rng.choice(len(said), round(share * len(said)), replace=False))
    said[moved] = said[rng.permutation(moved)]
    return said, said != world.subjects


def split_people(world: World, count: int, seed: int, least: int = 4) -> tuple[I64, list[tuple[int, int]]]:
    """(subjects in which `count` people have two names, their pairs of names)."""
    rng = np.random.default_rng([seed, 192])
    said = world.subjects.copy()
    sizes = np.bincount(said)
    chosen = rng.permutation(np.flatnonzero(sizes >= least))[:count]
    names = []
    for k, person in enumerate(chosen):
        mine = rng.permutation(np.flatnonzero(said == person))
        said[mine[: len(mine) // 2]] = len(sizes) + k
        names.append((int(person), len(sizes) + k))
    return said, names


def null_labels(seed: int, people: int = 300, kind: Kind = "mild", noise: float = 0.7) -> tuple[float, ...]:
    """(pictures flagged, expected false, people flagged as one, expected false) in a clean set with families."""
    world = make(people, kind, seed, noise=noise, dim=128)
    pictures, names = misplaced(world.unit, world.subjects), two_names(world.unit, world.subjects)
    return float(pictures.count), pictures.expected_false, float(len(names.first)), names.expected_false


def planted_labels(
    seed: int, people: int = 300, kind: Kind = "mild", noise: float = 0.7, share: float = 0.05
) -> tuple[float, ...]:
    """(share of the flags that are wrong labels, of findable wrong labels flagged, stated false share).

    Findable: of a person said to have three pictures or more, and two right ones left of who is shown.
    """
    world = make(people, kind, seed, noise=noise, dim=128)
    said, wrong = swapped_labels(world, share, seed)
    found = misplaced(world.unit, said)
    left = np.bincount(said[~wrong], minlength=people)[world.subjects]
    findable = wrong & found.judged & (left >= 2)
    right = float((found.flagged & wrong).sum() / max(found.count, 1))
    return right, float((found.flagged & findable).sum() / max(findable.sum(), 1)), found.false_share


def planted_names(seed: int, people: int = 300, kind: Kind = "mild", count: int = 3) -> tuple[float, ...]:
    """(share of split people found, other pairs flagged, expected false)."""
    world = make(people, kind, seed, dim=128)
    said, names = split_people(world, count, seed)
    found = two_names(world.unit, said)
    pairs = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    return len(pairs & set(names)) / count, float(len(pairs - set(names))), found.expected_false


# -- conditions that vary within people


def condition_world(
    seed: int, people: int = 80, kind: Kind = "mild", effect: float = 0.0, rare: float = 0.35
) -> tuple[World, NDArray[np.str_]]:
    """(world, `glasses` or `none` of every picture at random); `effect` moves glasses along one direction."""
    world = make(people, kind, seed)
    rng = np.random.default_rng([seed, 193])
    worn = rng.random(len(world.subjects)) < rare
    if effect:
        common = rng.normal(size=world.unit.shape[1])
        rows = world.unit.astype(np.float64)
        rows[worn] += effect * common / np.linalg.norm(common)
        rows[worn] += 0.5 * effect * rng.normal(size=rows[worn].shape) / np.sqrt(rows.shape[1])
        unit = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
        world = replace(world, unit=unit)
    return world, np.where(worn, "glasses", "none")


def condition_matrix_of(world: World, labels: NDArray[np.str_], threshold: float = THRESHOLD) -> Matrix:
    """The matrix over all genuine pairs and 30,000 impostor pairs."""
    left, right = capped_genuine(world.subjects, 0)
    a, b = impostor_pairs(world.subjects, 30_000, np.random.default_rng(0))
    impostors = (a, b, pair_cosines(world.unit, a, b))
    return condition_matrix(
        labels,
        world.subjects,
        left,
        right,
        pair_cosines(world.unit, left, right),
        threshold,
        impostors=impostors,
    )


def null_conditions(seed: int, people: int = 80, kind: Kind = "mild", threshold: float = THRESHOLD) -> bool:
    """Whether any cell of a label without effect is found to differ."""
    return bool(condition_matrix_of(*condition_world(seed, people, kind), threshold).found())


def planted_conditions(seed: int, people: int = 80, kind: Kind = "mild", effect: float = 0.5) -> bool:
    """Whether glasses seen against none is found, lower in similarity."""
    found = condition_matrix_of(*condition_world(seed, people, kind, effect)).found()
    return any(
        {c.enrolled, c.seen} == {"glasses", "none"}
        and c.similarity_change is not None
        and c.similarity_change.value < 0
        for c in found
    )
