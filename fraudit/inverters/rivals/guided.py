"""Guided diffusion without training: an unconditional network kept on course by questions alone.

At every step of the sampler the network's prediction of the clean picture is shown to the black box with small changes
to and fro, along random directions of the leading eigenfaces. The differences of the cosines estimate its slope
(zeroth-order optimisation); the prediction is moved up the slope before the sampler goes on. No gradient of the box is
needed, no vector pairs, no training: only questions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fraudit.inverters.linear import load as load_linear
from fraudit.inverters.rivals.attack import Attempt, Setting, Track, ask, likeness
from fraudit.inverters.rivals.generators import bundled_folder, kin_of, unconditional
from fraudit.types import F32, F64, I64, U8, InverterPlugin, MethodCard

STEPS = 20
COMPONENTS = 100  # leading eigenfaces, along which the prediction is changed
REACH = 0.25  # length of a change for one question, standard deviations a component
STRIDE = 0.5  # length of a step up the slope at first, the same unit; falls to a fifth
MEMORY = 0.7  # of the slope from step to step
CHUNK = 8


def _levels(x: F32) -> U8:
    """u8[N,S,S,3] of f32[N,3,S,S] in [-1, 1]."""
    return np.clip(np.rint((x.transpose(0, 2, 3, 1) + 1) * 127.5), 0, 255).astype(np.uint8)


def slope(rises: F64, directions: F32) -> F32:
    """f32[N,k]: unit vectors up the slope, from f64[N,m] differences of cosines along f32[N,m,k] directions."""
    found = np.einsum("nm,nmk->nk", rises, directions)
    return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12), np.float32)


def attack(setting: Setting, vectors: F32, seeds: I64) -> Attempt:
    """One picture of each of f32[N,D] vectors; see the module's text."""
    import torch

    from fraudit.diffusion.sampling.gaussian import GaussianDiffusion
    from fraudit.diffusion.sampling.samplers import SeededNoise, guided, solver_times

    network, card = unconditional()
    faces = load_linear(bundled_folder("linear")).faces
    k = min(COMPONENTS, faces.k)
    side = faces.mean.shape[0]
    # f32[k,3*S*S]: what one standard deviation of a component changes, planes first, in [-1, 1].
    basis = (faces.basis[:k] * faces.scale[:k, None]).reshape(k, side, side, 3).transpose(0, 3, 1, 2)
    basis = np.ascontiguousarray(basis.reshape(k, -1) / np.float32(127.5))
    steps = max(1, min(STEPS, setting.questions // 3))
    pairs = max(1, (setting.questions // steps - 1) // 2)
    process = GaussianDiffusion(card["schedule"], learn_sigma=network.config.learn_sigma)
    times = solver_times(process.alphas_cumprod, steps)
    log_sigma = 0.5 * np.log((1 - process.alphas_cumprod) / process.alphas_cumprod)
    lam = -np.interp(times, np.arange(process.num_timesteps), log_sigma)
    alpha = 1 / np.sqrt(1 + np.exp(-2 * lam))
    sigma = np.exp(-lam) * alpha
    predict: Any = guided(network, None, None, 1.0)
    n = len(vectors)
    x = SeededNoise(seeds, torch.device("cpu")).draw((3, side, side)).numpy()
    rngs = [np.random.default_rng([int(seed), 24]) for seed in seeds]
    memory = np.zeros((n, k), np.float32)
    track, asked = Track(setting.questions), 0
    near: F64 = np.full(n, -2.0)
    best = np.zeros((n, side, side, 3), np.uint8)
    for turn in range(steps):
        clean = np.empty_like(x)
        with torch.inference_mode():
            for start in range(0, n, CHUNK):
                part = torch.from_numpy(x[start : start + CHUNK])
                t = torch.full((len(part),), float(times[turn]))
                eps = predict(part, t)[:, :3].float().numpy()
                clean[start : start + CHUNK] = (part.numpy() - float(sigma[turn]) * eps) / float(alpha[turn])
        clean = np.clip(clean, -1, 1)
        directions = np.stack([r.standard_normal((pairs, k), dtype=np.float32) for r in rngs])
        change = REACH * (directions.reshape(-1, k) @ basis).reshape(n, pairs, 3, side, side)
        both = np.concatenate([clean[:, None] + change, clean[:, None] - change], axis=1)
        alike = likeness(ask(setting, _levels(both.reshape(-1, 3, side, side))), vectors).reshape(n, 2, pairs)
        memory = MEMORY * memory + (1 - MEMORY) * slope(alike[:, 0] - alike[:, 1], directions)
        up = memory / np.maximum(np.linalg.norm(memory, axis=1, keepdims=True), 1e-12)
        stride = STRIDE * 0.2 ** (turn / max(steps - 1, 1)) * np.sqrt(k)
        clean = np.clip(clean + (stride * up @ basis).reshape(clean.shape), -1, 1).astype(np.float32)
        shown = _levels(clean)
        found = likeness(ask(setting, shown), vectors)
        better = found > near
        best[better], near[better] = shown[better], found[better]
        asked += 2 * pairs + 1
        track.at(asked, best, near, last=turn == steps - 1)
        setting.told("guided diffusion", turn + 1, steps)
        if turn + 1 < steps:
            h = lam[turn + 1] - lam[turn]
            x = np.asarray(
                float(sigma[turn + 1] / sigma[turn]) * x - float(alpha[turn + 1] * np.expm1(-h)) * clean,
                np.float32,
            )
    note = f"{steps} steps of {pairs} directions to and fro, {side} px"
    return track.attempt(kin=kin_of(card), note=note)


INVERTER = InverterPlugin(
    name="guided",
    load=None,
    summary="unconditional ID3PM with zeroth-order guidance by the black box; no training",
    attack=attack,
    method=MethodCard(
        source="zeroth-order guidance of an unconditional diffusion network",
        attacker="vectors",
        samples="one-to-many",
        training="none for this box",
        data="none of the attacker's: the bundled unconditional network and face model",
        questions="as many as allowed",
        scale="no published counterpart",
    ),
)
