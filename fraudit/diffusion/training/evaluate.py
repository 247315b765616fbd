"""How well a network in training keeps identities of people it never saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from fraudit.diffusion.data.shards import Shards
from fraudit.diffusion.model.conditioning import scaled_identity
from fraudit.diffusion.model.unet import UNet
from fraudit.diffusion.sampling.gaussian import GaussianDiffusion
from fraudit.diffusion.sampling.samplers import guided, sample_pictures
from fraudit.diffusion.training.report import Curve, Report, cell
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.faces.align import as_shown
from fraudit.types import DEFAULT_GUIDANCE, F32, F64, I64, U8

STEPS = 10
WHOLE = 0.97  # share of an aligned picture that the original one shows


def embed_pictures(runtime: EmbedderRuntime, pictures: U8, points: F32) -> tuple[F32, np.ndarray]:
    """f32[N,D] unit vectors and bool[N] of u8[N,S,S,3] pictures whose five points lie at `points`."""
    preprocess = runtime.spec.preprocess
    crops = np.stack([as_shown(picture, points, preprocess) for picture in pictures])
    answer = runtime.embed_aligned(crops)
    return answer.unit(), answer.ok


def summary(values: F64) -> dict[str, float | int]:
    """Mean with its normal 95 % interval."""
    spread = 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else 0.0
    mean = float(values.mean())
    return {"mean": mean, "low": mean - spread, "high": mean + spread, "n": len(values)}


def paired_and_shuffled(made: F32, wanted: F32, ok: np.ndarray) -> dict[str, Any]:
    """Cosine of each made face to its own target, and to the target of the next one.

    A network that ignores its condition gives the same for both. Unit rows; at least two usable.
    """
    a, b = made[ok].astype(np.float64), wanted[ok].astype(np.float64)
    if len(a) < 2:
        return {"missing": f"expected at least 2 faces with a vector, found {len(a)}"}
    return {"own": summary((a * b).sum(1)), "other": summary((a * np.roll(b, 1, axis=0)).sum(1))}


def held_out_rows(data: Shards, held_out: bool) -> I64:
    """i64[P]: one face of each person, held out or trained on, in an order that is the same every time.

    Faces whose aligned picture lies within the original one, where at least two people have such: a repeated
    edge in the source would count for whoever repeats edges.
    """
    there = data.held_out == held_out
    whole = there & (data.visible.mean((1, 2)) >= WHOLE)
    rows = np.flatnonzero(whole if len(np.unique(data.subjects[whole])) > 1 else there)
    _, firsts = np.unique(data.subjects[rows], return_index=True)
    return np.random.default_rng(0).permutation(np.sort(rows[firsts]))


@dataclass(frozen=True, slots=True)
class Probe:
    """Faces that are inverted again and again during a training.

    Attributes:
        rows: i64[M] into the shards; one face of each of M people.
        points: f32[5,2], where the five points lie in the pictures.
        judge: an independent model, or None.
    """

    data: Shards
    rows: I64
    points: F32
    runtime: EmbedderRuntime
    judge: EmbedderRuntime | None
    unit_scaled: bool
    schedule: str
    guidance: float = DEFAULT_GUIDANCE
    temperature: float = 1.0

    @classmethod
    def of_people(cls, data: Shards, held_out: bool, count: int, **rest: Any) -> Probe:
        """One face of each of at most `count` people, held out or trained on; the same ones every time."""
        return cls(data=data, rows=held_out_rows(data, held_out)[:count], **rest)

    def pictures(self, network: UNet, told: Callable[[int, int], None] | None = None) -> U8:
        """u8[M,S,S,3] made from the ID vectors with seeds 0..M-1; `told` (made, in all) on the way."""
        device = next(network.parameters()).device
        process = GaussianDiffusion(self.schedule, learn_sigma=network.config.learn_sigma)
        dim = network.config.identity_dim
        identity = None
        if dim is not None:
            wanted = scaled_identity(self.data.vectors[self.rows], dim, self.unit_scaled)
            identity = torch.from_numpy(wanted).to(device)
        attributes = network.config.attribute_dim

        def network_of(rows: I64) -> Any:
            told = None if identity is None else identity[torch.from_numpy(rows).to(device)]
            open_ = None if attributes is None else torch.full((len(rows), attributes), -1.0, device=device)
            return guided(network, told, open_, self.guidance if told is not None else 1.0)

        chunk = 32 if device.type == "cuda" else 4
        return sample_pictures(
            network_of,
            process,
            np.arange(len(self.rows)),
            network.config.image_size,
            steps=STEPS,
            temperature=self.temperature,
            chunk=chunk,
            device=device,
            patch=network.config.patch,
            told=told,
        )

    def score(self, pictures: U8) -> dict[str, Any]:
        """Identity similarity of `pictures` by the black box itself and by the judge, and of memory.

        `embedder` compares with the ID vector that was inverted; `judge` with the judge's vector of the real
        picture; `nearest_training` is the highest cosine (black box) to any face that was trained on.
        """
        targets = self.data.vectors[self.rows]
        targets = targets / np.linalg.norm(targets, axis=1, keepdims=True)
        made, ok = embed_pictures(self.runtime, pictures, self.points)
        found: dict[str, Any] = {"embedder": paired_and_shuffled(made, targets, ok)}
        trained = self.data.vectors[~self.data.held_out]
        trained = trained / np.linalg.norm(trained, axis=1, keepdims=True)
        if ok.sum() > 1:
            found["nearest_training"] = summary((made[ok] @ trained.T).max(1).astype(np.float64))
        if self.judge is not None:
            judged, judged_ok = embed_pictures(self.judge, pictures, self.points)
            real, real_ok = embed_pictures(self.judge, self.data.pictures[self.rows], self.points)
            found["judge"] = paired_and_shuffled(judged, real, judged_ok & real_ok)
            found["judge_name"] = self.judge.spec.name
        return found


def curves_of(rows: Sequence[Mapping[str, Any]]) -> list[Curve]:
    """What the report of an inverter's training draws of its evaluations."""
    colours = {"embedder": "#1f5fa8", "judge": "#b3541e"}
    parts = {"own": ("own target", "-"), "other": ("shuffled pairing", ":")}
    return [
        Curve(
            f"{key}, {words}",
            colour,
            style,
            [(r["step"], r[key][part]) for r in rows if part in r.get(key, {})],
        )
        for key, colour in colours.items()
        for part, (words, style) in parts.items()
    ]


def report_of(rows: Sequence[Mapping[str, Any]], facts: Mapping[str, Any]) -> Report:
    """What the page on an inverter's training says."""
    return Report(
        title="Training of an inverter",
        intro=f"Cosine similarity of the faces made from the ID vectors of people held out, {STEPS} steps, "
        f"guidance {facts['guidance']:g}. The shuffled pairing compares each face with another person's vector: what a "
        "network that ignores its condition would reach.",
        heads=["embedder", "embedder, shuffled", "judge", "judge, shuffled", "nearest training face"],
        cells=[
            [
                *(cell(row.get(key), part) for key in ("embedder", "judge") for part in ("own", "other")),
                cell({"own": row["nearest_training"]} if "nearest_training" in row else None, "own"),
            ]
            for row in rows
        ],
        curves=curves_of(rows),
        axis="cosine",
        chart="Identity similarity, people held out",
        samples="Top row: real faces held out. Below: made from their ID vectors.",
    )
