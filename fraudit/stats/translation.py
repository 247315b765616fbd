"""From one face model's vectors to another's, learnt from pictures that both were shown.

The vectors of independently trained face models are nearly linear functions of each other (McNeely-White et al.,
"Canonical Face Embeddings", IEEE T-BIOM 2022): ridge regression, its penalty chosen on people it was not fitted to,
carries one into the other. A small residual network over it is taken only where it is nearer on these people beyond
doubt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.errors import InsufficientData
from fraudit.stats.intervals import clustered_mean
from fraudit.stats.ridge import MANY_RIDGES, Ridge, choosing_people, fit_ridge
from fraudit.types import F32, F64, I64, unit_rows

LEAST_NETWORK = 1000  # pairs below which no network is tried
HIDDEN, EPOCHS, BATCH, RATE, DECAY = 128, 15, 128, 2e-3, 1e-2


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
    ridge = fit_ridge(unit, wanted, choosing_people(people, seed), ridges=MANY_RIDGES)
    plain = Translator(ridge, (), float("nan"))
    if not network or len(unit) < LEAST_NETWORK:
        return plain
    apart = choosing_people(people, seed + 1)  # not those who chose the penalty
    choosing = choosing_people(people[~apart], seed)
    part = fit_ridge(unit[~apart], wanted[~apart], choosing, ridges=(ridge.ridge,))
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
