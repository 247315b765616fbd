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

    Args:
        device: of everything that is drawn.
    Attributes:
        mean, scale: f32[D] by which vectors of norm sqrt(D) are standardised. people: i64[N], 0..K-1. codes: f32[K,D].
    """

    def __init__(self, data: Shards, device: torch.device | None = None) -> None:
        rows = np.flatnonzero(~data.held_out)
        if len(rows) < FEWEST:
            raise InsufficientData(
                f"expected at least {FEWEST} faces to train on, found {len(rows)}", "add pictures"
            )
        self.device = device or torch.device("cpu")
        self.pictures = torch.from_numpy(data.pictures[rows]).to(self.device)
        self.dim = dim = data.vectors.shape[1]
        plain = scaled_identity(data.vectors[rows], dim, True)
        mirrored = scaled_identity(data.vectors_mirror[rows], dim, True)
        both = np.concatenate([plain, mirrored]).astype(np.float64)
        self.mean = both.mean(0).astype(np.float32)
        spread = both.std(0)
        self.scale = np.where(spread > 1e-6, spread, 1.0).astype(np.float32)
        standard = [((v - self.mean) / self.scale).astype(np.float32) for v in (plain, mirrored)]
        self.vectors = torch.from_numpy(np.stack(standard, axis=1)).to(self.device)
        people = np.unique(data.subjects[rows], return_inverse=True)[1].astype(np.int64)
        counts = np.bincount(people).astype(np.float32)
        self.codes = np.zeros((len(counts), dim), np.float32)
        np.add.at(self.codes, people, standard[0])
        self.codes /= counts[:, None]
        self.people = torch.from_numpy(people).to(self.device)

    def standardised(self, vectors: np.ndarray) -> np.ndarray:
        """f32[M,D] of f32[M,D] raw ID vectors."""
        return ((scaled_identity(vectors, self.dim, True) - self.mean) / self.scale).astype(np.float32)

    def batch(self, key: list[int], count: int) -> tuple[Tensor, Tensor, Tensor]:
        """f32[B,3,S,S] pictures, f32[B,D] vectors, i64[B] people; rows 2i and 2i+1 are a picture and its mirror."""
        rng = np.random.default_rng(key)
        drawn = np.repeat(rng.integers(0, len(self.pictures), (count + 1) // 2), 2)[:count]
        rows = torch.from_numpy(drawn).to(self.device)
        mirror = torch.arange(count, device=self.device) % 2
        x = self.pictures[rows].permute(0, 3, 1, 2).float() / 127.5 - 1
        x = torch.where(mirror.bool()[:, None, None, None], x.flip(3), x).contiguous()
        return x, self.vectors[rows, mirror], self.people[rows]


def generator_of(*key: int, device: torch.device | None = None) -> torch.Generator:
    """Draws that depend on these numbers, and on the kind of device, alone."""
    seed = int(np.random.SeedSequence(list(key)).generate_state(1, np.uint32)[0])
    return torch.Generator(device or "cpu").manual_seed(seed)


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
