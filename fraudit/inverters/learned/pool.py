"""What a training draws its steps from, and the files that it goes on from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fraudit.diffusion.data.shards import Shards
from fraudit.diffusion.model.conditioning import scaled_identity
from fraudit.errors import InsufficientData
from fraudit.files.store import write_atomic

FEWEST = 20  # faces


class Pool:
    """Pictures and standardised vectors of the people that are trained on.

    Attributes:
        mean, scale: f32[D] by which vectors of norm sqrt(D) are standardised. people: i64[N], 0..K-1. codes: f32[K,D].
    """

    def __init__(self, data: Shards) -> None:
        rows = np.flatnonzero(~data.held_out)
        if len(rows) < FEWEST:
            raise InsufficientData(
                f"expected at least {FEWEST} faces to train on, found {len(rows)}", "add pictures"
            )
        self.pictures = data.pictures[rows]
        dim = data.vectors.shape[1]
        plain = scaled_identity(data.vectors[rows], dim, True)
        mirrored = scaled_identity(data.vectors_mirror[rows], dim, True)
        both = np.concatenate([plain, mirrored]).astype(np.float64)
        self.mean = both.mean(0).astype(np.float32)
        spread = both.std(0)
        self.scale = np.where(spread > 1e-6, spread, 1.0).astype(np.float32)
        self.vectors = [(v - self.mean) / self.scale for v in (plain, mirrored)]
        self.people = np.unique(data.subjects[rows], return_inverse=True)[1].astype(np.int64)
        counts = np.bincount(self.people).astype(np.float32)
        self.codes = np.zeros((len(counts), dim), np.float32)
        np.add.at(self.codes, self.people, self.vectors[0])
        self.codes /= counts[:, None]

    def batch(self, key: list[int], count: int) -> tuple[Tensor, Tensor, Tensor]:
        """f32[B,3,S,S] pictures, f32[B,D] vectors, i64[B] people; rows 2i and 2i+1 are a picture and its mirror."""
        rng = np.random.default_rng(key)
        rows = np.repeat(rng.integers(0, len(self.pictures), (count + 1) // 2), 2)[:count]
        mirror = np.arange(count) % 2 == 1
        x = self.pictures[rows]
        x = np.where(mirror[:, None, None, None], x[:, :, ::-1], x)
        y = np.where(mirror[:, None], self.vectors[1][rows], self.vectors[0][rows])
        pictures = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2))).float() / 127.5 - 1
        return pictures, torch.from_numpy(y.astype(np.float32)), torch.from_numpy(self.people[rows])


def generator_of(*key: int) -> torch.Generator:
    """Draws that depend on these numbers alone."""
    seed = int(np.random.SeedSequence(list(key)).generate_state(1, np.uint32)[0])
    return torch.Generator().manual_seed(seed)


def write_state(path: Path, tensors: dict[str, Tensor], about: dict[str, str]) -> None:
    """Write tensors and what they belong to, atomically."""
    from safetensors.torch import save_file

    stored = {name: value.detach().contiguous().cpu().clone() for name, value in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, lambda temporary: save_file(stored, temporary, metadata=about))


def read_state(path: Path, about: dict[str, str]) -> dict[str, Any] | None:
    """Tensors of `path`, with `__step__` where it states one; None where it is missing, damaged or of other data."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, "pt") as stored:
            found = dict(stored.metadata() or {})
            step = found.pop("step", "0")
            if found != about:
                return None
            return {"__step__": step, **{key: stored.get_tensor(key) for key in stored.keys()}}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError):
        return None
