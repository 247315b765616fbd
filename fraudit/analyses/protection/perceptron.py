"""A learned inverse: one hidden layer from templates to vectors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fraudit.types import F32, unit_rows

HIDDEN, EPOCHS, BATCH, RATE, DECAY = 512, 40, 128, 1e-3, 1e-2
PATIENCE = 5  # epochs without a better answer on held-out vectors


def fit_perceptron(
    features: F32, vectors: F32, check_features: F32, check_vectors: F32, seed: int
) -> Callable[[F32], F32]:
    """f32[N,F] -> f32[N,D], trained on cosine; kept as of the epoch that is best on vectors not trained on."""
    import torch
    from torch.nn import functional

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        centre = features.mean(0)
        scale = features.std(0)
        scale[scale < 1e-6 * max(float(scale.max()), 1e-12)] = np.inf  # what never changes says nothing

        def entered(rows: F32) -> torch.Tensor:
            return torch.from_numpy(((rows - centre) / scale).astype(np.float32))

        draw = torch.Generator().manual_seed(seed)
        x, y = entered(features), torch.from_numpy(unit_rows(vectors))
        looked, wanted = entered(check_features), torch.from_numpy(unit_rows(check_vectors))

        def start(rows: int, columns: int) -> torch.Tensor:
            return (torch.randn(rows, columns, generator=draw) / rows**0.5).requires_grad_()

        first, second = start(x.shape[1], HIDDEN), start(HIDDEN, y.shape[1])
        bias = torch.zeros(HIDDEN, requires_grad=True)
        last = y.mean(0).clone().requires_grad_()
        parts = [first, bias, second, last]
        optimiser = torch.optim.AdamW(parts, lr=RATE, weight_decay=DECAY)

        def forward(rows: torch.Tensor, w: list[torch.Tensor]) -> torch.Tensor:
            return functional.relu(rows @ w[0] + w[1]) @ w[2] + w[3]

        best, kept, since = -2.0, [p.detach().clone() for p in parts], 0
        for _ in range(EPOCHS):
            for part in torch.randperm(len(x), generator=draw).split(BATCH):
                optimiser.zero_grad()
                loss = 1 - functional.cosine_similarity(forward(x[part], parts), y[part]).mean()
                loss.backward()
                optimiser.step()
            with torch.no_grad():
                now = float(functional.cosine_similarity(forward(looked, parts), wanted).mean())
            since += 1
            if now > best:
                best, kept, since = now, [p.detach().clone() for p in parts], 0
            if since >= PATIENCE:
                break

        def answer(rows: F32) -> F32:
            with torch.no_grad():
                return np.asarray(forward(entered(rows), kept).numpy(), np.float32)

        return answer
    finally:
        torch.set_num_threads(threads)
