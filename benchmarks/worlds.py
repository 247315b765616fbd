"""Worlds with known truth that are hard on intervals: skewed, heavy-tailed, with families and duplicates.

    world = make(people=500, kind="skew", seed=3)
    world.unit, world.subjects, world.groups, world.families

A person is a direction; a picture is that direction plus noise. What real sets have and simple worlds lack:
people and pictures of heavy-tailed difficulty, people with 1 and with 50 pictures (`skew`) or 1 and 530 (`lfw`),
relatives whose directions are half the same, groups of 70, 25 and 5 %, and pictures that are there twice. The
truth of a figure is its mean over many worlds of one kind and size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tests.fixtures.planted import unit_rows

Kind = Literal["equal", "mild", "skew", "lfw"]
KINDS: tuple[Kind, ...] = ("equal", "mild", "skew", "lfw")
GROUPS = ("a", "b", "c")
GROUP_SHARES = (0.70, 0.25, 0.05)
FAMILY_SHARE = 0.15
DUPLICATES = 0.03

# People by number of pictures in LFW (http://vis-www.cs.umass.edu/lfw/, counted from the list of names).
_LFW = {
    1: 4069,
    2: 779,
    3: 291,
    4: 187,
    5: 112,
    6: 55,
    7: 39,
    8: 33,
    9: 26,
    10: 15,
    12: 30,
    15: 40,
    20: 31,
    30: 22,
    40: 9,
    55: 6,
    80: 3,
    121: 1,
    144: 1,
    236: 1,
    530: 1,
}


@dataclass(frozen=True, slots=True)
class World:
    """Faces as an embedder would answer.

    Attributes:
        unit: f32[N,D] unit vectors. subjects: i64[N], 0-based. groups: str[N], one a person.
        families: i64[people], equal for relatives. quality: f64[N], noise of each picture relative to the usual.
        directions: f64[people,D], unit. spread: f64[people], the norm of a usual picture's deviation.
    """

    unit: NDArray[np.float32]
    subjects: NDArray[np.int64]
    groups: NDArray[np.str_]
    families: NDArray[np.int64]
    quality: NDArray[np.float64]
    directions: NDArray[np.float64]
    spread: NDArray[np.float64]

    def another(self, people: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.float32]:
        """f32[M,D]: one more picture of each of i64[M] people, drawn as the world's own were."""
        heavy = self.spread[people] / np.sqrt(rng.chisquare(5, len(people)) / 5)
        dim = self.directions.shape[1]
        deviation = rng.normal(size=(len(people), dim)) / np.sqrt(dim)
        return unit_rows(self.directions[people] + heavy[:, None] * deviation).astype(np.float32)

    def context(self, attributes: dict[str, NDArray[Any]] | None = None, seed: int = 0) -> Any:
        """The context that an analysis is given, with `group` as attribute unless others are given."""
        from tests.fixtures.contexts import vectors_context

        named = {"group": self.groups} if attributes is None else attributes
        return vectors_context(self.unit, self.subjects, attributes=named, seed=seed)


def picture_counts(people: int, kind: Kind, rng: np.random.Generator) -> NDArray[np.int64]:
    """i64[people] pictures of each person: 4 each, 2 to 6, 1 to 50 with median 3, or as in LFW."""
    if kind == "equal":
        return np.full(people, 4, np.int64)
    if kind == "mild":
        return rng.integers(2, 7, people)
    if kind == "skew":
        return np.clip(np.rint(np.exp(rng.normal(np.log(3), 1.1, people))), 1, 50).astype(np.int64)
    sizes, weights = np.array(list(_LFW)), np.array(list(_LFW.values()), float)
    return rng.choice(sizes, people, p=weights / weights.sum()).astype(np.int64)


def _families(people: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """i64[people]: 15 % of the people live in families of two or three."""
    families = np.arange(people)
    order, at, end = rng.permutation(people), 0, int(FAMILY_SHARE * people)
    while at + 1 < end:
        size = min(int(rng.integers(2, 4)), end - at)
        families[order[at : at + size]] = order[at]
        at += size
    return families


def make(
    people: int,
    kind: Kind = "skew",
    seed: int = 0,
    *,
    dim: int = 64,
    noise: float = 0.7,
    group_noise: tuple[float, float, float] = (1.0, 1.0, 1.0),
    group_common: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> World:
    """A seeded world.

    Args:
        noise: norm of a usual picture's deviation relative to the person's direction.
        group_noise: factor of the noise by group: above 1 raises the group's FNMR.
        group_common: norm of a direction that all people of a group share: above 0 raises its FMR.
    """
    rng = np.random.default_rng([seed, 1616, people, KINDS.index(kind)])
    families = _families(people, rng)
    own, shared = (rng.normal(size=(people, dim)) / np.sqrt(dim) for _ in range(2))
    related = (np.bincount(families, minlength=people)[families] > 1)[:, None]
    direction = np.where(related, np.sqrt(0.5) * (own + shared[families]), own)
    group = rng.choice(3, people, p=GROUP_SHARES)
    group = group[families]  # relatives are of one group
    common = unit_rows(rng.normal(size=(3, dim)))
    direction = unit_rows(direction + np.array(group_common)[group][:, None] * common[group])
    # Heavy tails: a lognormal spread among people, Student's t (5) among pictures of a person.
    person_noise = np.exp(rng.normal(0, 0.3, people)) * np.array(group_noise)[group]
    subjects = np.repeat(np.arange(people), picture_counts(people, kind, rng))
    quality = person_noise[subjects] / np.sqrt(rng.chisquare(5, len(subjects)) / 5)
    deviation = rng.normal(size=(len(subjects), dim)) / np.sqrt(dim)
    rows = unit_rows(direction[subjects] + noise * quality[:, None] * deviation)
    again = np.flatnonzero((np.diff(subjects, prepend=-1) == 0) & (rng.random(len(subjects)) < DUPLICATES))
    rows[again] = rows[again - 1]
    names = np.array(GROUPS)[group][subjects]
    return World(
        rows.astype(np.float32),
        subjects.astype(np.int64),
        names,
        families,
        quality,
        direction,
        noise * person_noise,
    )
