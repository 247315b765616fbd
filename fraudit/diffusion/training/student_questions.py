"""What the black box says of pictures that a network predicts: lessons for its student where real pictures give none.

A student (`training.student`) that has only seen photographs judges predicted pictures, which are smoother and
lie elsewhere; a network under it drifts to where the two disagree. So a network to start from predicts clean pictures
from noisy ones, as it will in training, and the black box is asked about each: more questions of the kind it was asked
for the shards, still no gradient. People held out take no part.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fraudit.diffusion.data.shards import Shards, data_digest
from fraudit.diffusion.model.checkpoint import load_inverter_network, read_inverter_card
from fraudit.diffusion.model.closed_form import ClosedFormUNet
from fraudit.diffusion.model.conditioning import scaled_identity
from fraudit.diffusion.sampling import counter_noise
from fraudit.diffusion.sampling.gaussian import GaussianDiffusion
from fraudit.diffusion.training.evaluate import embed_pictures
from fraudit.embedding.devices import channels_last
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import ArtifactError, UsageError
from fraudit.files.store import write_atomic
from fraudit.types import F32, U8

QUESTIONS_FILE = "asked.safetensors"
FORM = "asked-1"  # of how pictures are predicted: those of another form are asked about again
CHUNK = 64
BEYOND = 2**40
_ROW, _TIME, _NOISE, _QUESTION = range(20, 24)  # streams of `counter_noise`

Say = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class StudentQuestions:
    """Predicted pictures and what the black box answered.

    Attributes:
        pictures: u8[M,S,S,3]; vectors: f32[M,D] ID vectors of norm 1.
        digest: of what they were made by and from.
    """

    pictures: U8
    vectors: F32
    digest: str

    def batch(self, positions: torch.Tensor, seed: int) -> tuple[torch.Tensor, F32, torch.Tensor]:
        """f32[B,3,S,S] pictures in [-1, 1], f32[B,D] vectors, and i64[B] positions that no sample of the data has."""
        share = counter_noise.uniform(seed, _QUESTION, positions, 1)[:, 0].cpu().numpy()
        rows = (share * len(self.pictures)).astype(np.int64)
        x = torch.from_numpy(self.pictures[rows]).to(positions.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        return x, self.vectors[rows], positions + BEYOND


def require_same_black_box(init: Path, runtime: EmbedderRuntime) -> dict[str, Any]:
    """The card of the inverter in `init`. Raises UsageError where it is of another kind, or of another black box."""
    card = read_inverter_card(init)
    if not card["unet"].get("prior_spread", 0) > 0:
        raise UsageError(
            f"--asks: {init} ({card.get('preset', 'unknown preset')}) does not refine a closed form",
            "start from a mini-64 or small-64, or leave --asks out",
        )
    if card["embedder_fingerprint"] != runtime.fingerprint:
        raise UsageError(
            f"--asks: {init} was trained for {card['embedder']}, not for {runtime.spec.name}",
            "make it serve your model first: fraudit adapt",
        )
    return card


def questions_digest(init: Path, data: Shards, count: int, seed: int) -> str:
    """What `ask_about_predictions` would make its pictures by and from."""
    weights = [entry["sha256"] for entry in read_inverter_card(init)["files"]]
    told = json.dumps([weights, data_digest(data.index), count, seed, FORM])
    return hashlib.sha256(told.encode()).hexdigest()


def ask_about_predictions(
    path: Path,
    init: Path,
    data: Shards,
    runtime: EmbedderRuntime,
    points: F32,
    count: int,
    *,
    seed: int,
    device: torch.device,
    bf16: bool,
    make: bool = True,
    wait: Callable[[], None] = lambda: None,
    say: Say = lambda label, done, total: None,
) -> StudentQuestions:
    """`count` pictures that the inverter in `init` predicts of people trained on, with their ID vectors.

    Kept in `path` and read from there by a training that goes on. Pictures of which the black box gives no vector are
    left out.

    Args:
        init: of `runtime`'s black box, refining a closed form.
        points: f32[5,2] in the pictures.
        make: whether this process makes them; the others `wait` for it.

    Raises:
        UsageError: an inverter of another kind, or of another black box.
        ArtifactError: what was written cannot be read back.
    """
    card, digest = require_same_black_box(init, runtime), questions_digest(init, data, count, seed)
    if make and _read(path, digest) is None:
        network = load_inverter_network(init)[0]
        assert isinstance(network, ClosedFormUNet)
        channels_last(network, device)
        process = GaussianDiffusion(card["schedule"], learn_sigma=False)
        rows = np.flatnonzero(~data.held_out)
        pictures, vectors = [], []
        for start in range(0, count, CHUNK):
            positions = torch.arange(start, min(start + CHUNK, count))
            made = predicted(network, process, data, rows, positions, seed, bool(card["unit_scaled"]), bf16)
            answer, ok = embed_pictures(runtime, made, points)
            pictures.append(made[ok])
            vectors.append(answer[ok])
            say(f"{runtime.spec.name} asked about predicted pictures", start + len(positions), count)
        _write(path, np.concatenate(pictures), np.concatenate(vectors), digest)
    wait()
    found = _read(path, digest)
    if found is None:
        raise ArtifactError(f"{path} cannot be read back", "the folder must be shared by all processes")
    return found


@torch.inference_mode()
def predicted(
    network: ClosedFormUNet,
    process: GaussianDiffusion,
    data: Shards,
    rows: np.ndarray,
    positions: torch.Tensor,
    seed: int,
    unit_scaled: bool,
    bf16: bool,
) -> U8:
    """u8[B,S,S,3]: x_0 predicted at time steps drawn evenly; the real picture stands in where it is not visible."""
    device = next(network.parameters()).device
    chosen = rows[
        (counter_noise.uniform(seed, _ROW, positions, 1)[:, 0].numpy() * len(rows)).astype(np.int64)
    ]
    real = torch.from_numpy(data.pictures[chosen]).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    mask = torch.from_numpy(data.visible[chosen]).to(device)[:, None].float()
    vectors = scaled_identity(data.vectors[chosen], data.vectors.shape[1], unit_scaled)
    steps = process.num_timesteps
    t = (
        (counter_noise.uniform(seed, _TIME, positions, 1)[:, 0] * steps)
        .long()
        .clamp(max=steps - 1)
        .to(device)
    )
    noise = counter_noise.normal(seed, _NOISE, positions, tuple(real.shape[1:])).to(device)
    with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        made = network(process.q_sample(real, t, noise), t, torch.from_numpy(vectors).to(device), clean=True)
    seen = (made.float() * mask + real * (1 - mask)).clamp(-1, 1)
    return ((seen + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def _write(path: Path, pictures: U8, vectors: F32, digest: str) -> None:
    from safetensors.numpy import save_file

    tensors: dict[str, np.ndarray] = {
        "pictures": np.ascontiguousarray(pictures),
        "vectors": vectors.astype(np.float32),
    }
    write_atomic(path, lambda temporary: save_file(tensors, temporary, metadata={"digest": digest}))


def _read(path: Path, digest: str) -> StudentQuestions | None:
    """What is kept in `path`; None where there is none, or it is damaged or of something else: ask again."""
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        return None
    try:
        with safe_open(path, "numpy") as stored:
            if (stored.metadata() or {}).get("digest") != digest:
                return None
            return StudentQuestions(stored.get_tensor("pictures"), stored.get_tensor("vectors"), digest)
    except (SafetensorError, OSError, ValueError):
        return None
