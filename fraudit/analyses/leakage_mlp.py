"""A small nonlinear probe: one hidden layer a target, all targets trained side by side as one network."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fraudit.types import F32, F64, I64

HIDDEN, EPOCHS, BATCH, RATE = 32, 20, 128, 2e-3
STEPS = 400  # at least, so that a small set is not left untrained
# Measured on 4,000 faces of CelebA and MobileFaceNet: a small start, dropout and strong decay are what keeps a
# perceptron on so few faces from reading less than ridge regression does.
START, DECAY, DROP = 0.1, 1.0, 0.5


def mlp_folds(
    vectors: F32, numbers: F64, classes: Sequence[int], fold: I64, seed: int = 0
) -> tuple[list[F64], F64]:
    """Out-of-fold answers of a perceptron with one hidden layer of 32 units a target.

    Targets share nothing. Training stops for each target where its loss on one training fold, identity-disjoint
    like all others, is least.

    Args:
        vectors: f32[N,D]. numbers: f64[N,T], NaN where unknown; class numbers where classes[t] > 1.
        classes: number of classes of each target, 0 for a number. fold: i64[N].
    Returns:
        (answers f64[N,max(classes,1)] of each target: class probabilities or a number; training means f64[N,T]).
    """
    import torch

    # Networks this small only wait for one another on several threads: ten times slower on a busy machine.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return _trained(vectors, numbers, classes, fold, seed)
    finally:
        torch.set_num_threads(threads)


def _trained(
    vectors: F32, numbers: F64, classes: Sequence[int], fold: I64, seed: int
) -> tuple[list[F64], F64]:
    import torch
    from torch.nn import functional

    width = max(1, *classes)
    count = len(classes)
    answers = [np.zeros((len(vectors), max(1, c))) for c in classes]
    base = np.zeros(numbers.shape)
    is_class = np.array([c > 0 for c in classes])
    draw = torch.Generator().manual_seed(seed)
    named = [t for t in range(count) if classes[t]]
    closed = torch.tensor([[j >= max(1, c) for j in range(width)] for c in classes])

    for k in np.unique(fold):
        held = fold == k
        check = fold == (k + 1) % (fold.max() + 1)
        train = ~held & ~check
        known = np.where(train[:, None], numbers, np.nan)
        mean = np.where(is_class, 0.0, np.nanmean(known, axis=0))
        spread = np.where(is_class, 1.0, np.nanstd(known, axis=0))
        spread[~(spread > 0)] = 1.0
        base[held] = np.nanmean(np.where(held[:, None], np.nan, numbers), axis=0)
        scaled = (numbers - mean) / spread
        present = torch.from_numpy(np.isfinite(scaled))
        goal = torch.from_numpy(np.nan_to_num(scaled).astype(np.float32))
        centre = vectors[train].mean(axis=0)
        scale = float(np.sqrt(((vectors[train] - centre) ** 2).mean())) or 1.0
        x = torch.from_numpy(((vectors - centre) / scale).astype(np.float32))

        dim = x.shape[1]
        first = torch.randn(dim, count * HIDDEN, generator=draw) * np.sqrt(2 / dim)
        bias = torch.zeros(count * HIDDEN)
        second = torch.randn(count, HIDDEN, width, generator=draw) * START / np.sqrt(HIDDEN)
        last = torch.zeros(count, width)
        weights = [w.requires_grad_() for w in (first, bias, second, last)]
        optimiser = torch.optim.AdamW(weights, lr=RATE, weight_decay=DECAY)

        def forward(rows: torch.Tensor, w: list[torch.Tensor] = weights) -> torch.Tensor:
            hidden = functional.relu(rows @ w[0] + w[1]).view(len(rows), count, HIDDEN)
            if torch.is_grad_enabled():
                hidden = hidden * (torch.rand(hidden.shape, generator=draw) > DROP) / (1 - DROP)
            return torch.einsum("nth,thw->ntw", hidden, w[2]) + w[3]

        def losses(
            out: torch.Tensor, rows: torch.Tensor, goal: torch.Tensor = goal, present: torch.Tensor = present
        ) -> torch.Tensor:
            """Mean loss of each target over the faces whose label is known."""
            mask = present[rows]
            own = (out[:, :, 0] - goal[rows]) ** 2
            if named:
                logits = out[:, named].masked_fill(closed[named], float("-inf"))
                labels = goal[rows][:, named].long()
                own = own.index_copy(1, torch.tensor(named), functional.cross_entropy(
                    logits.transpose(1, 2), labels, reduction="none"))  # fmt: skip
            return (own * mask).sum(0) / mask.sum(0).clamp(min=1)

        rows_of = {name: torch.from_numpy(np.flatnonzero(part)) for name, part in
                   (("train", train), ("check", check), ("held", held))}  # fmt: skip
        best = torch.full((count,), float("inf"))
        kept = torch.zeros(len(rows_of["held"]), count, width)
        for _ in range(max(EPOCHS, -(-STEPS * BATCH // len(rows_of["train"])))):
            shuffled = rows_of["train"][torch.randperm(len(rows_of["train"]), generator=draw)]
            for part in shuffled.split(BATCH):
                optimiser.zero_grad()
                losses(forward(x[part]), part).sum().backward()
                optimiser.step()
            with torch.no_grad():
                now = losses(forward(x[rows_of["check"]]), rows_of["check"])
                better = now < best
                best = torch.where(better, now, best)
                kept[:, better] = forward(x[rows_of["held"]])[:, better]
        for t in range(count):
            if classes[t]:
                answers[t][held] = torch.softmax(kept[:, t, : classes[t]], dim=1).double().numpy()
            else:
                answers[t][held] = kept[:, t, :1].double().numpy() * spread[t] + mean[t]
    return answers, base
