"""Gaussian sampling (Razzhigaev et al. 2020): a face out of nothing but blobs that the black box likes.

Needs neither data nor training, only many questions. Each round draws a batch of mirror-symmetric Gaussian blobs,
adds each to the picture so far, asks about all of them and keeps the one with the highest cosine times norm: the
norm of a vector falls where a picture is no face. The paper's rounds have 80 blobs of amplitude 0.02 of the range,
about 300,000 questions a face. With a thousandth of that, steps so small would leave the picture grey: smaller
rounds of stronger blobs are taken there.
"""

from __future__ import annotations

import numpy as np

from fraudit.inverters.rivals.attack import SIDE, Attempt, Setting, Track, ask, likeness
from fraudit.types import F32, F64, I64, InverterPlugin, MethodCard

PAPER_BATCH, PAPER_AMPLITUDE = 80, 0.02
PAPER_QUESTIONS = 100_000  # from here on the paper's batch and amplitude
BATCH, AMPLITUDE = 16, 0.12
START = 5  # blobs of a starting picture
START_AMPLITUDE = 0.3


def blobs(rng: np.random.Generator, count: int, amplitude: float, side: int = SIDE) -> F32:
    """f32[count,side,side]: symmetric Gaussian blobs at random, of +-`amplitude` at their middle.

    Position anywhere, both widths from a twentieth to a third of the side, angle at random; each blob and its mirror.
    """
    at = rng.uniform(0, side, (count, 2))
    widths = side * np.exp(rng.uniform(np.log(0.05), np.log(0.33), (count, 2)))
    angle = rng.uniform(0, np.pi, count)
    sign = rng.choice([-1.0, 1.0], count)
    y, x = np.mgrid[:side, :side] + 0.5
    dx, dy = x[None] - at[:, 0, None, None], y[None] - at[:, 1, None, None]
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    u = (cos * dx + sin * dy) / widths[:, 0, None, None]
    v = (-sin * dx + cos * dy) / widths[:, 1, None, None]
    found = np.exp(-(u**2 + v**2) / 2)
    found = (found + found[:, :, ::-1]) / 2
    peak = np.maximum(found.max((1, 2)), 1e-9)
    return ((sign * amplitude / peak)[:, None, None] * found).astype(np.float32)


def _shown(grey: F32) -> np.ndarray:
    """u8[...,S,S,3] of f32[...,S,S] in 0..1."""
    levels = np.clip(np.rint(grey * 255), 0, 255).astype(np.uint8)
    return np.repeat(levels[..., None], 3, axis=-1)


def attack(setting: Setting, vectors: F32, seeds: I64) -> Attempt:
    """One picture of each of f32[N,D] vectors, from a start of its own; see the module's text."""
    paper = setting.questions >= PAPER_QUESTIONS
    batch, amplitude = (PAPER_BATCH, PAPER_AMPLITUDE) if paper else (BATCH, AMPLITUDE)
    batch = min(batch, setting.questions)
    rngs = [np.random.default_rng([int(seed), 21]) for seed in seeds]
    now = np.stack(
        [0.5 + np.stack([blobs(r, START, START_AMPLITUDE).sum(0) for _ in range(batch)]) for r in rngs]
    ).astype(np.float32)
    track, asked = Track(setting.questions), 0
    rows = np.arange(len(vectors))
    best: F32 = np.zeros((len(vectors), SIDE, SIDE), np.float32)
    score: F64 = np.full(len(vectors), -np.inf)
    near: F64 = np.full(len(vectors), -1.0)
    while True:
        answer = ask(setting, _shown(now))
        alike = likeness(answer, vectors).reshape(len(vectors), -1)
        norms = np.linalg.norm(answer.vectors, axis=1).reshape(alike.shape)
        rated = np.where(alike > 0, alike * norms, alike)
        pick = rated.argmax(1)
        better = rated[rows, pick] > score
        best[better] = now[rows, pick][better]
        score = np.where(better, rated[rows, pick], score)
        near = np.where(better, alike[rows, pick], near)
        asked += now.shape[1]
        left = setting.questions - asked
        track.at(asked, _shown(best), near, last=left <= 0)
        setting.told("gaussian sampling", asked, setting.questions)
        if left <= 0:
            break
        size = min(batch, left)
        now = np.clip(best[:, None] + np.stack([blobs(r, size, amplitude) for r in rngs]), 0, 1).astype(
            np.float32
        )
    note = f"{batch} blobs a round of amplitude {amplitude:g}, {SIDE} px, {asked:,} questions a face"
    return track.attempt(note=note)


INVERTER = InverterPlugin(
    name="gaussian",
    load=None,
    summary="Gaussian sampling: no data, no training, many questions",
    attack=attack,
    method=MethodCard(
        source="Razzhigaev et al. 2020",
        attacker="vectors",
        samples="one-to-many",
        training="none",
        data="none",
        questions="as many as allowed; about 300,000 in the paper",
        scale="64 px and a small share of the paper's questions (112 px, 300,000 questions)",
        published=(("another model (ID3PM, Table 2)", 0.8910),),
    ),
)
