"""A small nonlinear probe: one hidden layer a target, all targets trained side by side as one network."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fraudit.threads import thread_count
from fraudit.types import F32, F64, I64

HIDDEN, EPOCHS, BATCH, RATE = 32, 12, 128, 3e-3
STEPS = 250  # at least, so that a small set is not left untrained
# Measured on 4,000 faces of CelebA and MobileFaceNet: a small start, dropout and strong decay are what keeps a
# perceptron on so few faces from reading less than ridge regression does.
START, DECAY, DROP = 0.1, 1.0, 0.5


Keys = tuple[int, ...]


def mlp_folds(
    vectors: F32, numbers: F64, classes: Sequence[int], subjects: I64, fold: I64, weights: F64, seed: int = 0
) -> tuple[dict[Keys, list[F64]], dict[Keys, F64]]:
    """Out-of-fold answers of a perceptron with one hidden layer of 32 units a target.

    Targets share nothing. Training stops for each target where its loss on a fifth of the training people, who
    are not trained on, is least.

    Args:
        vectors: f32[N,D]. numbers: f64[N,T], NaN where unknown; class numbers where classes[t] > 1.
        classes: number of classes of each target, 0 for a number. subjects: i64[N].
        fold: i64[N], identity-disjoint, 0..K-1. weights: f64[N] of faces.
    Returns:
        (key -> answers f64[n,max(classes,1)] of each target: class probabilities or a number; key -> training means
        f64[T]). Key (j,): faces of fold j, read by the others; (j, g): read by all but j and g.
    """
    import torch

    threads = torch.get_num_threads()
    try:
        return _all(_Data.of(vectors, numbers, classes, subjects, weights), fold, seed)
    finally:
        torch.set_num_threads(threads)  # a thread that first asks torch for something takes what was last set


@dataclass(frozen=True, slots=True)
class _Data:
    vectors: F32
    numbers: F64
    classes: Sequence[int]
    weights: F64
    person: I64

    @classmethod
    def of(cls, vectors: F32, numbers: F64, classes: Sequence[int], subjects: I64, weights: F64) -> _Data:
        return cls(vectors, numbers, classes, weights, np.unique(subjects, return_inverse=True)[1].ravel())

    def check(self, used: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.bool_]:
        """A fifth of the people of faces `used`."""
        people = rng.permutation(np.unique(self.person[used]))
        return used & np.isin(self.person, people[: max(1, len(people) // 5)])


def _all(data: _Data, fold: I64, seed: int) -> tuple[dict[Keys, list[F64]], dict[Keys, F64]]:
    count = int(fold.max()) + 1
    answers: dict[Keys, list[F64]] = {}
    bases: dict[Keys, F64] = {}
    keys = [(j,) for j in range(count)] + [(j, g) for j in range(count) for g in range(j + 1, count)]

    def of(key: Keys) -> tuple[list[list[F64]], F64]:
        held = [fold == k for k in key]
        used = ~np.any(held, axis=0)
        check = data.check(used, np.random.default_rng([seed, *key, 57]))
        known = np.where(used[:, None] & np.isfinite(data.numbers), data.weights[:, None], 0.0)
        base = (np.nan_to_num(data.numbers) * known).sum(axis=0) / known.sum(axis=0)
        return _trained(data, used & ~check, check, held, seed), base

    # Networks this small only wait for one another on several threads (ten times slower on a busy machine): one thread
    # each, and several networks at a time.
    with ThreadPoolExecutor(thread_count(), "fraudit-mlp", initializer=_alone) as pool:
        for key, (read, base) in zip(keys, pool.map(of, keys), strict=True):
            for at, judged in enumerate(key):
                name = (judged, *(k for k in key if k != judged))
                answers[name], bases[name] = read[at], base
    return answers, bases


def _alone() -> None:
    """Torch on one thread, in the thread that asks."""
    import torch

    torch.set_num_threads(1)


def _trained(
    data: _Data,
    train: NDArray[np.bool_],
    check: NDArray[np.bool_],
    held: Sequence[NDArray[np.bool_]],
    seed: int,
) -> list[list[F64]]:
    """For each part of `held` the answers of every target, of a network trained on `train`."""
    import torch
    from torch.nn import functional

    vectors, numbers, classes = data.vectors, data.numbers, data.classes
    width, count = max(1, *classes), len(classes)
    is_class = np.array([c > 0 for c in classes])
    draw = torch.Generator().manual_seed(seed)
    named = [t for t in range(count) if classes[t]]
    closed = torch.tensor([[j >= max(1, c) for j in range(width)] for c in classes])
    known = np.where(train[:, None], numbers, np.nan)
    mean = np.where(is_class, 0.0, np.nanmean(known, axis=0))
    spread = np.where(is_class, 1.0, np.nanstd(known, axis=0))
    spread[~(spread > 0)] = 1.0
    scaled = (numbers - mean) / spread
    weight = torch.from_numpy((np.isfinite(scaled) * data.weights[:, None]).astype(np.float32))
    goal = torch.from_numpy(np.nan_to_num(scaled).astype(np.float32))
    centre = vectors[train].mean(axis=0)
    scale = float(np.sqrt(((vectors[train] - centre) ** 2).mean())) or 1.0
    x = torch.from_numpy(((vectors - centre) / scale).astype(np.float32))

    dim = x.shape[1]
    first = torch.randn(dim, count * HIDDEN, generator=draw) * np.sqrt(2 / dim)
    bias = torch.zeros(count * HIDDEN)
    second = torch.randn(count, HIDDEN, width, generator=draw) * START / np.sqrt(HIDDEN)
    last = torch.zeros(count, width)
    w = [part.requires_grad_() for part in (first, bias, second, last)]
    optimiser = torch.optim.AdamW(w, lr=RATE, weight_decay=DECAY)

    def forward(rows: torch.Tensor) -> torch.Tensor:
        hidden = functional.relu(rows @ w[0] + w[1]).view(len(rows), count, HIDDEN)
        if torch.is_grad_enabled():
            hidden = hidden * (torch.rand(hidden.shape, generator=draw) > DROP) / (1 - DROP)
        return torch.einsum("nth,thw->ntw", hidden, w[2]) + w[3]

    def losses(out: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """Mean loss of each target over the faces whose label is known, people weighing the same."""
        own = (out[:, :, 0] - goal[rows]) ** 2
        if named:
            logits = out[:, named].masked_fill(closed[named], float("-inf"))
            labels = goal[rows][:, named].long()
            own = own.index_copy(
                1,
                torch.tensor(named),
                functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none"),
            )
        return (own * weight[rows]).sum(0) / weight[rows].sum(0).clamp(min=1e-6)

    training, checked = (torch.from_numpy(np.flatnonzero(part)) for part in (train, check))
    asked = [torch.from_numpy(np.flatnonzero(part)) for part in held]
    best = torch.full((count,), float("inf"))
    kept = [torch.zeros(len(rows), count, width) for rows in asked]
    for _ in range(max(EPOCHS, -(-STEPS * BATCH // len(training)))):
        shuffled = training[torch.randperm(len(training), generator=draw)]
        for part in shuffled.split(BATCH):
            optimiser.zero_grad()
            losses(forward(x[part]), part).sum().backward()
            optimiser.step()
        with torch.no_grad():
            now = losses(forward(x[checked]), checked)
            better = now < best
            best = torch.where(better, now, best)
            for rows, own in zip(asked, kept, strict=True):
                own[:, better] = forward(x[rows])[:, better]
    return [
        [
            torch.softmax(own[:, t, : classes[t]], dim=1).double().numpy()
            if classes[t]
            else own[:, t, :1].double().numpy() * spread[t] + mean[t]
            for t in range(count)
        ]
        for own in kept
    ]
