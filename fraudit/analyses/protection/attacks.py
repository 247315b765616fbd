"""Vectors recovered from templates, by whoever has the key and by whoever has not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from fraudit.analyses.protection.params import Params
from fraudit.analyses.protection.perceptron import fit_perceptron
from fraudit.analyses.protection.sample import Sample
from fraudit.protections.choosing import protected
from fraudit.stats.estimates import Estimate
from fraudit.stats.intervals import clopper_pearson
from fraudit.stats.inversion import excess, mean_of, other_pairs, tally
from fraudit.stats.ridge import MANY_RIDGES, fit_ridge
from fraudit.stats.strangers import Trials
from fraudit.stats.template_recovery import (
    Prior,
    least_squares,
    linear_map,
    mean_cosine,
    to_others,
)
from fraudit.types import F32, F64, I64, Bool, Interval, ProtectionPlugin, unit_rows

Attacker = Literal["with the key", "without the key"]
WITH: Attacker = "with the key"
WITHOUT: Attacker = "without the key"
KEYS_TRIED = 1000  # vectors under random keys that are learnt from without the key, one key each
NEAR = 0.999  # cosine beyond which nothing better is looked for
CHANCE_PAIRS = 30_000


@dataclass(frozen=True, slots=True)
class Recovered:
    """Vectors that one attacker recovers: f32[M,D] of length 1, and how."""

    attacker: Attacker
    how: str
    unit: F32


def recover(
    scheme: ProtectionPlugin, sample: Sample, params: Params, prior: Prior, rng: np.random.Generator
) -> tuple[Recovered, ...]:
    """What attackers with and without the key recover of the attacked vectors' templates under the shared key.

    A scheme without a key is attacked once: everybody has what is needed.
    """
    seen = protected(scheme, sample.unit[sample.attacked], params.key)

    def under_key(vectors: F32) -> F32:
        return protected(scheme, vectors, params.key)

    matrix = linear_map(under_key, sample.unit.shape[1], rng)
    if matrix is not None:
        solved = least_squares(seen, matrix, prior)
        with_key = Recovered(WITH, "least squares", unit_rows(solved.astype(np.float32)))
    else:
        learnt, how = _learnt(scheme, sample, params, prior, under_key, seen, rng, params.learnt)
        with_key = Recovered(WITH, how, learnt)
    if not scheme.keyed:
        return (with_key,)

    def other_keys(vectors: F32) -> F32:
        keys = rng.integers(0, 2**62, len(vectors))
        return np.concatenate([protected(scheme, vectors[[i]], int(key)) for i, key in enumerate(keys)])

    count = min(params.learnt, KEYS_TRIED)
    blind, how = _learnt(scheme, sample, params, prior, other_keys, seen, rng, count)
    return with_key, Recovered(WITHOUT, f"{how}, under other keys", blind)


def _learnt(
    scheme: ProtectionPlugin,
    sample: Sample,
    params: Params,
    prior: Prior,
    protect: Callable[[F32], F32],
    seen: F32,
    rng: np.random.Generator,
    count: int,
) -> tuple[F32, str]:
    """(f32[M,D] recovered unit vectors, how): the better of two learned inverses on vectors that were held out."""
    features = scheme.features or (lambda templates: templates)
    real = sample.known[rng.permutation(len(sample.known))[:count]]
    held = max(20, len(real) // 5)
    check, train = real[:held], real[held:]
    train = np.concatenate([train, prior.draw(max(0, count - len(real)), rng)])
    x, y = features(protect(train)), features(protect(check))
    asked = features(seen)
    both = np.concatenate([x, y]), np.concatenate([train, check])
    choosing = np.arange(len(both[0])) >= len(x)
    ridge = fit_ridge(*both, choosing, ridges=MANY_RIDGES, lengthened=False)
    best = ridge.cosine
    found: F64 | F32 = ridge(asked)
    how = "ridge regression"
    if params.mlp and best < NEAR:
        network = fit_perceptron(x, train, y, check, int(rng.integers(2**31)))
        if mean_cosine(network(y), check) > best:
            found, how = network(asked), "perceptron"
    return unit_rows(np.asarray(found, np.float32)), how


@dataclass(frozen=True, slots=True)
class Success:
    """How often recovered vectors (or pictures of them) match pictures of the person, beside what chance gives.

    `rate`: share that matches. `chance`: what is recovered of other people, against the same pictures. `over`: rate
    less chance, `sure` the same at the level of findings.
    """

    rate: Estimate
    chance: Estimate
    over: Estimate
    sure: Estimate


def success(
    made: F32,
    ok: Bool,
    targets: F32,
    usable: Bool,
    people: I64,
    at: float,
    level: float,
    seed: int,
    alike: bool,
) -> Success | None:
    """Of f32[M,D] unit rows against f32[M,D] unit targets of the same people, at threshold `at`; None: no target.

    `alike`: the rows may all be nearly one, as they are where nothing is known of the person.
    """
    if not usable.any():
        return None
    across = np.where(ok[:, None], np.asarray(made, np.float64) @ np.asarray(targets, np.float64).T, -np.inf)
    i, j = other_pairs(people, people, usable, CHANCE_PAIRS, np.random.default_rng([seed, 72]))
    own = people[usable]
    mine = Trials(np.diag(across)[usable] >= at, own, own)
    strange = Trials(across[i, j] >= at, people[i], people[j])
    return Success(
        tally(mine.events, own, own),
        _chance(strange, alike),
        excess(mine, strange),
        excess(mine, strange, level),
    )


def _chance(strange: Trials, alike: bool) -> Estimate:
    """The share with the wider of two intervals: that of pairs, and that of the people shown.

    Where recovered vectors are all nearly one, a person shown is one trial, however many vectors he is compared with;
    few events do not tell that, so that `alike` must.
    """
    found = tally(strange.events, strange.made, strange.shown)
    if found.interval is None:
        return found
    count = len(np.unique(strange.shown))
    other = tally(strange.events, strange.shown, strange.shown).interval
    if alike:
        method = f"Clopper-Pearson, {count} people shown, one trial each"
        other = clopper_pearson(found.value * count, count, method=method)
    if other is None or (other.low >= found.interval.low and other.high <= found.interval.high):
        return found
    ends = min(found.interval.low, other.low), max(found.interval.high, other.high)
    return replace(found, interval=Interval(*ends, other.level, other.method))


@dataclass(frozen=True, slots=True)
class Likeness:
    """Cosine of recovered vectors to the true ones, to those of other people, and the difference, a person each."""

    own: Estimate
    others: Estimate
    over: Estimate


def likeness(found: Recovered, sample: Sample) -> Likeness:
    """How near recovered vectors are to the true ones, beside what they are to other people's."""
    true, people = sample.unit[sample.attacked], sample.people[sample.attacked]
    own: F64 = (np.asarray(found.unit, np.float64) * true).sum(1)
    _, others = to_others(found.unit, true, people)
    return Likeness(*(mean_of(v, people) for v in (own, others, own - others)))


def vector_success(
    found: Recovered, sample: Sample, at: float, level: float, seed: int
) -> tuple[Success | None, Success | None]:
    """(type I, type II) of the recovered vectors themselves, by the audited model's cosines."""
    people, true = sample.people[sample.attacked], sample.unit[sample.attacked]
    ok = np.abs(found.unit).sum(1) > 0
    has = sample.others >= 0
    other = sample.unit[np.maximum(sample.others, 0)]
    every = np.ones(len(people), bool)
    return (
        success(found.unit, ok, true, every, people, at, level, seed, found.attacker == WITHOUT),
        success(found.unit, ok, other, has, people, at, level, seed, found.attacker == WITHOUT),
    )
