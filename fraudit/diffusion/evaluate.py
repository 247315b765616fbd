"""How well a network in training keeps identities of people it never saw, and what its report shows."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from fraudit.diffusion.conditioning import scaled_identity
from fraudit.diffusion.gaussian import GaussianDiffusion
from fraudit.diffusion.samplers import guided, sample_pictures
from fraudit.diffusion.shards import Shards
from fraudit.diffusion.training import read_losses
from fraudit.diffusion.unet import UNet
from fraudit.embedding import EmbedderRuntime
from fraudit.faces.align import align
from fraudit.store import write_atomic, write_text_atomic
from fraudit.types import DEFAULT_GUIDANCE, F32, F64, I64, U8

EVALUATION = "evaluation.jsonl"
STEPS = 10
WHOLE = 0.97  # share of an aligned picture that the original one shows


def embed_pictures(runtime: EmbedderRuntime, pictures: U8, points: F32) -> tuple[F32, np.ndarray]:
    """f32[N,D] unit vectors and bool[N] of u8[N,S,S,3] pictures whose five points lie at `points`."""
    preprocess = runtime.spec.preprocess
    crops = np.stack([align(picture, points, preprocess.size, preprocess.template) for picture in pictures])
    answer = runtime.embed_aligned(crops)
    return answer.unit(), answer.ok


def _summary(values: F64) -> dict[str, float | int]:
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
    return {"own": _summary((a * b).sum(1)), "other": _summary((a * np.roll(b, 1, axis=0)).sum(1))}


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
        """One face of each of at most `count` people, held out or trained on; the same ones every time.

        Faces whose aligned picture lies within the original one, where at least two people have such: a repeated
        edge in the source would count for whoever repeats edges.
        """
        there = data.held_out == held_out
        whole = there & (data.visible.mean((1, 2)) >= WHOLE)
        rows = np.flatnonzero(whole if len(np.unique(data.subjects[whole])) > 1 else there)
        _, firsts = np.unique(data.subjects[rows], return_index=True)
        people = np.random.default_rng(0).permutation(np.sort(rows[firsts]))
        return cls(data=data, rows=people[:count], **rest)

    def pictures(self, network: UNet) -> U8:
        """u8[M,S,S,3] made from the ID vectors with seeds 0..M-1."""
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
            found["nearest_training"] = _summary((made[ok] @ trained.T).max(1).astype(np.float64))
        if self.judge is not None:
            judged, judged_ok = embed_pictures(self.judge, pictures, self.points)
            real, real_ok = embed_pictures(self.judge, self.data.pictures[self.rows], self.points)
            found["judge"] = paired_and_shuffled(judged, real, judged_ok & real_ok)
            found["judge_name"] = self.judge.spec.name
        return found


def grid(rows: Sequence[U8], gap_px: int = 2) -> U8:
    """u8[H,W,3]: pictures side by side, one row under the other, on white."""
    size = rows[0].shape[1]
    width = max(len(row) for row in rows)
    cell = size + gap_px
    sheet = np.full((len(rows) * cell + gap_px, width * cell + gap_px, 3), 255, np.uint8)
    for r, row in enumerate(rows):
        for c, picture in enumerate(row):
            top, left = gap_px + r * cell, gap_px + c * cell
            sheet[top : top + size, left : left + size] = picture
    return sheet


def write_picture(path: Path, picture: U8) -> None:
    """PNG, atomically."""
    from PIL import Image

    write_atomic(path, lambda temporary: Image.fromarray(picture).save(temporary, "PNG"))


def read_evaluations(folder: Path, up_to: int | None = None) -> list[dict[str, Any]]:
    """Rows of the evaluation log, up to a step."""
    path = folder / EVALUATION
    if not path.is_file():
        return []
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    return [row for row in rows if up_to is None or row["step"] <= up_to]


def add_evaluation(folder: Path, row: Mapping[str, Any]) -> None:
    """Append `row` (with its `step`), replacing what a killed run had written for it or later."""
    rows = [r for r in read_evaluations(folder, int(row["step"])) if r["step"] != row["step"]]
    text = "".join(json.dumps(r) + "\n" for r in [*rows, dict(row)])
    write_text_atomic(folder / EVALUATION, text)


def _curves(folder: Path, rows: list[dict[str, Any]]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    losses = read_losses(folder)
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    if losses:
        steps = np.array([r["step"] for r in losses])
        values = np.array([r["loss"] for r in losses])
        width = max(1, len(values) // 200)
        blocks = len(values) // width
        left.plot(
            steps[: blocks * width].reshape(blocks, width).mean(1),
            values[: blocks * width].reshape(blocks, width).mean(1),
            color="#1f5fa8",
            linewidth=1,
        )
    left.set(xlabel="step", ylabel="training loss (block means)", title="Loss")
    for key, colour in (("embedder", "#1f5fa8"), ("judge", "#b3541e")):
        for part, style in (("own", "-"), ("other", ":")):
            points = [(r["step"], r[key][part]) for r in rows if key in r and part in r[key]]
            if points:
                x = [step for step, _ in points]
                label = f"{key}, {'own target' if part == 'own' else 'shuffled pairing'}"
                right.plot(
                    x, [v["mean"] for _, v in points], style, color=colour, marker="o", ms=3, label=label
                )
                low, high = [v["low"] for _, v in points], [v["high"] for _, v in points]
                right.fill_between(x, low, high, color=colour, alpha=0.12, linewidth=0)
    right.set(xlabel="step", ylabel="cosine", title="Identity similarity, people held out")
    if right.has_data():
        right.legend(fontsize=7)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    write_atomic(folder / "curves.png", lambda path: figure.savefig(path, dpi=110, format="png"))


def write_training_report(folder: Path, facts: Mapping[str, Any]) -> None:
    """training.json, curves.png and training.html: the whole story of a training in one folder."""
    rows = read_evaluations(folder)
    _curves(folder, rows)
    document = {**facts, "evaluations": rows}
    write_text_atomic(folder / "training.json", json.dumps(document, indent=2, sort_keys=True) + "\n")

    def cell(entry: Mapping[str, Any] | None, part: str) -> str:
        if not entry:
            return "<td>not measured</td>"
        if part not in entry:
            return f"<td>{html.escape(str(entry.get('missing', 'not measured')))}</td>"
        v = entry[part]
        return f"<td>{v['mean']:.3f} [{v['low']:.3f}, {v['high']:.3f}], n = {v['n']}</td>"

    body = "".join(
        f"<tr><td>{r['step']:,}</td>{cell(r.get('embedder'), 'own')}{cell(r.get('embedder'), 'other')}"
        f"{cell(r.get('judge'), 'own')}{cell(r.get('judge'), 'other')}"
        f"{cell({'own': r['nearest_training']} if 'nearest_training' in r else None, 'own')}</tr>"
        for r in rows
    )

    def plain(value: Any) -> str:
        if isinstance(value, list):
            return "; ".join(plain(part) for part in value)
        if isinstance(value, Mapping):
            return ", ".join(f"{key} {part}" for key, part in value.items())
        return str(value)

    listed = "".join(
        f"<tr><th>{html.escape(key)}</th><td>{html.escape(plain(value))}</td></tr>"
        for key, value in facts.items()
        if key not in ("unet", "preprocess")
    )
    shown = "<img src='samples.png' alt='Top: real faces held out; below: made from their ID vectors'>"
    samples = shown if (folder / "samples.png").is_file() else "<p>No samples yet.</p>"
    page = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Training of an inverter</title>
<style>body{{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#222}}
table{{border-collapse:collapse}}td,th{{padding:.2rem .7rem;border-bottom:1px solid #ddd;text-align:left}}
img{{max-width:100%;image-rendering:pixelated}}</style>
<h1>Training of an inverter</h1>
<p>Cosine similarity of the faces made from the ID vectors of people held out, {STEPS} steps,
guidance {facts["guidance"]:g}. The shuffled pairing compares each face with another person's vector: what a network
that ignores its condition would reach.</p>
<img src="curves.png" alt="Training loss, and identity similarity of held-out people, by step">
<table><tr><th>step</th><th>embedder</th><th>embedder, shuffled</th><th>judge</th><th>judge, shuffled</th>
<th>nearest training face</th></tr>{body}</table>
<h2>Samples</h2><p>Top row: real faces held out. Below: made from their ID vectors.</p>{samples}
<h2>Settings</h2><table>{listed}</table></html>
"""
    write_text_atomic(folder / "training.html", page)
