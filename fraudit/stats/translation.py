"""From one face model's vectors to another's, learnt from pictures that both were shown.

The vectors of independently trained face models are nearly linear functions of each other (McNeely-White et al.,
"Canonical Face Embeddings", IEEE T-BIOM 2022): ridge regression, its penalty chosen on people it was not fitted to,
carries one into the other. A small residual network over it is taken only where it is nearer on these people beyond
doubt.

A regression shrinks: its answer is lengthened to what people it was not fitted to show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fraudit.errors import InsufficientData
from fraudit.stats.axes import eigh
from fraudit.stats.intervals import clustered_mean
from fraudit.types import F32, F64, I64, unit_rows

RIDGES = (1e-3, 1e-2, 1e-1, 1.0)
MANY_RIDGES = (*RIDGES, 10.0, 100.0)  # where there may be few pairs
CHOOSING = 5  # one of so many people chooses
LEAST_NETWORK = 1000  # pairs below which no network is tried
HIDDEN, EPOCHS, BATCH, RATE, DECAY = 128, 15, 128, 2e-3, 1e-2


@dataclass(frozen=True, slots=True)
class Ridge:
    """Ridge regression of standardised vectors.

    Attributes:
        mean, scale: f64[D], of the vectors it was fitted to. offset: f64[E], of the wanted ones (0: not centred).
        matrix: f64[D,E], `gain` included. ridge: penalty in units of the standardised vectors' variance.
        gain: by which the answer was lengthened. cosine: with the wanted vectors, of people it was chosen on.
        pairs: it was fitted to.
    """

    mean: F64
    scale: F64
    offset: F64
    matrix: F64
    ridge: float
    gain: float
    cosine: float
    pairs: int

    def __call__(self, vectors: NDArray[Any]) -> F64:
        """f64[N,E] of f[N,D]."""
        return np.asarray(((vectors - self.mean) / self.scale) @ self.matrix + self.offset, np.float64)


def choosing_people(people: ArrayLike, seed: int = 0) -> NDArray[np.bool_]:
    """bool[N]: pictures of the fifth of the people i64[N], at least one, that choose the penalty."""
    known = np.unique(np.asarray(people))
    order = np.random.default_rng(seed).permutation(known)
    return np.isin(people, order[: max(1, len(order) // CHOOSING)])


def fit_ridge(
    vectors: NDArray[Any],
    wanted: NDArray[Any],
    people: ArrayLike,
    *,
    ridges: Sequence[float] = RIDGES,
    centred: bool = True,
    seed: int = 0,
) -> Ridge:
    """Ridge regression from f[N,D] `vectors` to f[N,E] `wanted` of the same pictures of i64[N] `people`.

    Args:
        ridges: penalties to choose from. centred: whether the wanted vectors' mean is no part of the regression.
        seed: of the people who choose.

    Raises:
        InsufficientData: fewer than two people.
    """
    subjects = np.asarray(people, np.int64)
    if len(np.unique(subjects)) < 2:
        raise InsufficientData(
            f"a translator needs pictures of two people, found {len(np.unique(subjects))}", "use more people"
        )
    x, y = np.asarray(vectors), np.asarray(wanted)
    mean, scale = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
    scale[scale == 0] = 1.0
    offset = y.mean(0, dtype=np.float64) if centred else np.zeros(y.shape[1])
    z, target = (x - mean) / scale, y - offset
    choosing = choosing_people(subjects, seed)
    solve = _solver(z[~choosing], target[~choosing])
    tried = {}
    for ridge in ridges:
        answer = z[choosing] @ solve(ridge)
        cosine = float((unit_rows(answer) * unit_rows(target[choosing])).sum(1).mean())
        gain = float(np.sqrt(np.square(target[choosing]).sum() / max(np.square(answer).sum(), 1e-12)))
        tried[ridge] = (cosine, gain)
    best = max(tried, key=lambda r: tried[r][0])
    cosine, gain = tried[best]
    matrix = _solver(z, target)(best) * gain
    return Ridge(mean, scale, offset, matrix, best, gain, cosine, len(x))


def _solver(z: NDArray[Any], target: NDArray[Any]) -> Callable[[float], F64]:
    """ridge -> f64[D,E]; the smaller of both Gram matrices is taken apart once."""
    n = len(z)
    if n >= z.shape[1]:
        values, axes = eigh(np.asarray(z.T @ z, np.float64) / n)
        right = axes.T @ np.asarray(z.T @ target, np.float64) / n
        return lambda ridge: np.asarray(axes @ (right / (np.maximum(values, 0) + ridge)[:, None]))
    values, axes = eigh(np.asarray(z @ z.T, np.float64) / n)
    right, back = axes.T @ target / n, np.asarray(z.T @ axes, np.float64)
    return lambda ridge: np.asarray(back @ (right / (np.maximum(values, 0) + ridge)[:, None]))


@dataclass(frozen=True, slots=True)
class Translator:
    """From one model's unit vectors to another's.

    Attributes:
        ridge: the regression. layers: of the residual network, () where there is none.
        better: by how much the network's cosine was larger on people held out, NaN where none was tried.
    """

    ridge: Ridge
    layers: tuple[F32, ...]
    better: float

    @property
    def kind(self) -> str:
        """`ridge` or `network`."""
        return "network" if self.layers else "ridge"

    def __call__(self, unit: NDArray[Any]) -> F64:
        """f64[N,E] unit rows of f[N,D] unit rows."""
        answer = self.ridge(unit)
        if self.layers:
            first, bias, second = self.layers
            z = ((unit - self.ridge.mean) / self.ridge.scale).astype(np.float32)
            answer = answer + np.maximum(z @ first + bias, 0) @ second
        return np.asarray(unit_rows(answer), np.float64)


def fit_translator(
    unit: NDArray[Any], wanted: NDArray[Any], people: I64, *, seed: int = 0, network: bool = True
) -> Translator:
    """The translator from f[N,D] to f[N,E] unit rows of the same pictures; a network where it is better beyond doubt.

    Args:
        network: whether one is tried, given `LEAST_NETWORK` pairs.

    Raises:
        InsufficientData: fewer than two people.
    """
    ridge = fit_ridge(unit, wanted, people, ridges=MANY_RIDGES, seed=seed)
    plain = Translator(ridge, (), float("nan"))
    if not network or len(unit) < LEAST_NETWORK:
        return plain
    apart = choosing_people(people, seed + 1)  # not those who chose the penalty
    part = fit_ridge(unit[~apart], wanted[~apart], people[~apart], ridges=(ridge.ridge,), seed=seed)
    ways = (
        Translator(part, (), 0.0),
        Translator(part, _residual(part, unit[~apart], wanted[~apart], seed), 0.0),
    )
    cosines = [(way(unit[apart]) * unit_rows(wanted[apart])).sum(1) for way in ways]
    gain = cosines[1] - cosines[0]
    try:
        sure = clustered_mean(gain, people[apart], 0.99).low > 0
    except InsufficientData:
        sure = False
    better = float(gain.mean())
    return Translator(ridge, _residual(ridge, unit, wanted, seed) if sure else (), better)


def _residual(ridge: Ridge, unit: NDArray[Any], wanted: NDArray[Any], seed: int) -> tuple[F32, ...]:
    """(f32[D,H], f32[H], f32[H,E]) of a network that starts as no change and is trained on the cosine."""
    import torch

    rng = np.random.default_rng([seed, 41])
    z = torch.from_numpy(((unit - ridge.mean) / ridge.scale).astype(np.float32))
    base = torch.from_numpy(ridge(unit).astype(np.float32))
    target = torch.from_numpy(np.asarray(unit_rows(wanted), np.float32))
    dim = z.shape[1]
    first = torch.from_numpy((rng.normal(size=(dim, HIDDEN)) / np.sqrt(dim)).astype(np.float32))
    layers = [first, torch.zeros(HIDDEN), torch.zeros(HIDDEN, base.shape[1])]
    for layer in layers:
        layer.requires_grad_()
    made = torch.optim.AdamW(layers, lr=RATE, weight_decay=DECAY)
    for epoch in range(EPOCHS):
        for group in made.param_groups:
            group["lr"] = RATE * (1 - epoch / EPOCHS)
        order = torch.from_numpy(rng.permutation(len(z)))
        for rows in order.split(BATCH):
            answer = base[rows] + torch.relu(z[rows] @ layers[0] + layers[1]) @ layers[2]
            loss = -torch.nn.functional.cosine_similarity(answer, target[rows]).mean()
            made.zero_grad()
            loss.backward()
            made.step()
    return tuple(layer.detach().numpy() for layer in layers)
