"""Latent search (vendrow 2021): the nearest of many drawn faces, then small steps of its latent.

A pool of latents is drawn and shown to the black box beforehand, once for all faces. From the nearest one each round
tries 16 neighbours z + std n, with std shrinking, greedily or by simulated annealing with a temperature that falls
from 1 to 0. Any generator with a latent will do; neither it nor its training knows the black box.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import numpy as np

from fraudit.errors import InsufficientData
from fraudit.files.store import digest_of
from fraudit.inverters.inverting import reembed
from fraudit.inverters.rivals.attack import Attempt, Setting, Track, ask, likeness
from fraudit.inverters.rivals.generators import (
    LATENT_STEPS,
    Generator,
    diffusion_generator,
    eigenface_generator,
)
from fraudit.types import F32, F64, I64, InverterPlugin, MethodCard, unit_rows

NEIGHBOURS = 16
LEAST = 4  # neighbours, where pictures are costly and few
TRUNCATION = 0.7  # of the drawn pool; the paper's 0.5 belongs to another generator
FIRST_STD, LAST_STD = 0.5, 0.1
ANNEALED = 0.02  # cosines that a temperature of 1 gives away as often as not


def pool_of(generator: Generator, setting: Setting) -> tuple[F32, F32]:
    """(f32[P,size] latents, f32[P,D] unit vectors of their pictures, zero where the box sees no face).

    Drawn once for all faces and, where the setting has a store, for all runs.
    """
    count = min(setting.pool, -(-setting.pictures // 2)) if generator.costly else setting.pool
    rng = np.random.default_rng([setting.seed, 22])
    latents = (TRUNCATION * rng.standard_normal((count, generator.size))).astype(np.float32)
    if generator.costly:
        latents /= np.float32(TRUNCATION)  # a sampler's noise must have unit variance

    def draw() -> dict[str, np.ndarray]:
        made = []
        for start in range(0, count, 64):
            made.append(generator.pictures(latents[start : start + 64]))
            setting.told(f"drawing faces of {generator.name}", start + len(made[-1]), count)
        return {"pictures": np.concatenate(made)}

    parts = {"generator": generator.key, "seed": setting.seed, "count": count, "t": TRUNCATION}
    found = setting.store.arrays("pools", parts, draw) if setting.store else draw()
    answer = reembed(setting.box, found["pictures"])
    return latents, np.where(answer.ok[:, None], answer.unit(), 0).astype(np.float32)


def moved(latents: F32, std: float, rngs: list[np.random.Generator], count: int, unit: bool) -> F32:
    """f32[N,count,size]: neighbours z + std n; scaled back to unit variance where a sampler needs it."""
    steps = np.stack([r.standard_normal((count, latents.shape[1]), dtype=np.float32) for r in rngs])
    found = latents[:, None] + np.float32(std) * steps
    return np.asarray(found / np.float32(np.sqrt(1 + std**2)) if unit else found, np.float32)


def search(
    make: Callable[[], Generator], annealed: bool, setting: Setting, vectors: F32, seeds: I64
) -> Attempt:
    """One picture of each of f32[N,D] vectors, found in the generator's latents; see the module's text."""
    begun = time.monotonic()
    generator = make()
    latents, known = pool_of(generator, setting)
    shared = time.monotonic() - begun
    wanted = unit_rows(vectors)
    closeness = wanted.astype(np.float64) @ known.T.astype(np.float64)
    # Several pictures of one vector start from different faces of the pool: the k-th nearest for the k-th.
    place = _places(vectors)
    order = np.argsort(-closeness, axis=1)
    first = order[np.arange(len(vectors)), np.minimum(place, len(latents) - 1)]
    state, at = latents[first].copy(), closeness[np.arange(len(vectors)), first]
    near = at.copy()
    rngs = [np.random.default_rng([int(seed), 23]) for seed in seeds]
    budget = setting.questions
    if generator.costly:
        budget = min(budget, max(LEAST, (setting.pictures - len(latents)) // max(len(vectors), 1)))
    size = min(NEIGHBOURS, budget)
    rounds = budget // size
    track = Track(budget)
    rows, asked = np.arange(len(vectors)), 0
    shown = generator.pictures(state)
    track.at(1, shown, near)
    for turn in range(rounds):
        share = turn / max(rounds - 1, 1)
        std = FIRST_STD * (LAST_STD / FIRST_STD) ** share
        tried = moved(state, std, rngs, size, generator.costly)
        made = generator.pictures(tried.reshape(-1, generator.size))
        found = likeness(ask(setting, made), vectors).reshape(len(vectors), size)
        asked += size
        pick = found.argmax(1)
        top: F64 = found[rows, pick]
        take = top > at
        if annealed:
            heat = ANNEALED * (1 - share)
            chance = np.exp(np.minimum((top - at) / max(heat, 1e-9), 0))
            take |= np.array([r.random() for r in rngs]) < chance
        state[take], at[take] = tried[rows, pick][take], top[take]
        better = top > near
        near[better] = top[better]
        shown[better] = made.reshape(len(vectors), size, *made.shape[1:])[rows, pick][better]
        track.at(asked, shown, near, last=turn == rounds - 1)
        setting.told(f"latent search, {generator.name}", turn + 1, rounds)
    note = f"{len(latents):,} faces drawn beforehand, {rounds} rounds of {size} neighbours, {generator.name}"
    return track.attempt(shared=len(latents), seconds_shared=shared, kin=generator.kin, note=note)


def search_given(setting: Setting, vectors: F32, seeds: I64) -> Attempt:
    """`search` in the generator that the setting names. Raises InsufficientData where it names none."""
    generator = setting.generator
    if generator is None:
        raise InsufficientData("it searches a generator of your own: --generator FILE (StyleGAN2 or ONNX)")
    return search(lambda: generator, False, setting, vectors, seeds)


def _places(vectors: F32) -> I64:
    """i64[N]: how many rows before this one are the same vector."""
    seen: dict[str, int] = {}
    found = []
    for row in vectors:
        key = digest_of(row)
        found.append(seen.get(key, 0))
        seen[key] = found[-1] + 1
    return np.array(found, np.int64)


def _card(what: str, scale: str) -> MethodCard:
    return MethodCard(
        source="vendrow 2021 (StyleGAN search in ID3PM, Table 2)",
        attacker="vectors",
        samples="one-to-many",
        training="none",
        data=what,
        questions="a pool shared by all faces, then as many as allowed",
        scale=scale,
        published=(("another model and generator, StyleGAN (ID3PM, Table 2)", 0.8243),),
    )


EIGEN = _card(
    "none of the attacker's: a bundled statistical face model",
    "a linear face model at 64 px for StyleGAN, a small pool for 160,000 latents",
)
DIFFUSION = _card(
    "none of the attacker's: the bundled unconditional network",
    f"a 64 px network in {LATENT_STEPS} steps for StyleGAN, a small pool for 160,000 latents",
)

GIVEN = _card(
    "a generator of the attacker's own",
    "the generator as it is given, brought to 64 px, a small pool for 160,000 latents",
)

GREEDY = InverterPlugin(
    name="latent",
    load=None,
    summary="latent search over a statistical face model, greedy",
    attack=partial(search, eigenface_generator, False),
    method=EIGEN,
)
ANNEALING = InverterPlugin(
    name="latent-annealed",
    load=None,
    summary="latent search over a statistical face model, simulated annealing",
    attack=partial(search, eigenface_generator, True),
    method=EIGEN,
)
UNCONDITIONAL = InverterPlugin(
    name="latent-id3pm",
    load=None,
    summary="latent search over the noise of the unconditional ID3PM, greedy",
    attack=partial(search, diffusion_generator, False),
    method=DIFFUSION,
)
OWN = InverterPlugin(
    name="latent-given",
    load=None,
    summary="latent search over a generator of your own (StyleGAN2 or ONNX), greedy",
    attack=search_given,
    method=GIVEN,
)
