"""The page of a training: its curves, its figures on people held out, its samples and its settings."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.diffusion.training.state import read_losses
from fraudit.files.store import write_atomic, write_text_atomic
from fraudit.types import U8

EVALUATION = "evaluation.jsonl"


@dataclass(frozen=True, slots=True)
class Curve:
    """A line over the steps: [(step, {mean, low, high, n})]."""

    label: str
    colour: str
    style: str
    points: Sequence[tuple[int, Mapping[str, float]]]


@dataclass(frozen=True, slots=True)
class Report:
    """What a page says.

    Attributes:
        intro: what is measured, in plain words.
        heads: columns of the table behind `step`; cells: their text, a list for each evaluation.
        axis, chart: unit and title of the drawn curves.
        samples: what the rows of the sample sheet are.
    """

    title: str
    intro: str
    heads: Sequence[str]
    cells: Sequence[Sequence[str]]
    curves: Sequence[Curve]
    axis: str
    chart: str
    samples: str


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


def _draw(folder: Path, report: Report) -> None:
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
    for curve in report.curves:
        if curve.points:
            x = [step for step, _ in curve.points]
            means = [v["mean"] for _, v in curve.points]
            right.plot(x, means, curve.style, color=curve.colour, marker="o", ms=3, label=curve.label)
            low, high = [v["low"] for _, v in curve.points], [v["high"] for _, v in curve.points]
            right.fill_between(x, low, high, color=curve.colour, alpha=0.12, linewidth=0)
    right.set(xlabel="step", ylabel=report.axis, title=report.chart)
    if right.has_data():
        right.legend(fontsize=7)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
    write_atomic(folder / "curves.png", lambda path: figure.savefig(path, dpi=110, format="png"))


def cell(entry: Mapping[str, Any] | None, part: str, digits: int = 3) -> str:
    """Mean, interval and n of `part` of an evaluation, or why it is missing."""
    if not entry:
        return "not measured"
    if part not in entry:
        return str(entry.get("missing", "not measured"))
    v = entry[part]
    return f"{v['mean']:.{digits}f} [{v['low']:.{digits}f}, {v['high']:.{digits}f}], n = {v['n']}"


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(_plain(part) for part in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    return str(value)


def write_training_report(folder: Path, facts: Mapping[str, Any], report: Report) -> None:
    """training.json, curves.png and training.html: the whole story of a training in one folder."""
    rows = read_evaluations(folder)
    _draw(folder, report)
    document = {**facts, "evaluations": rows}
    write_text_atomic(folder / "training.json", json.dumps(document, indent=2, sort_keys=True) + "\n")
    heads = "".join(f"<th>{html.escape(head)}</th>" for head in report.heads)
    body = "".join(
        f"<tr><td>{row['step']:,}</td>{''.join(f'<td>{html.escape(text)}</td>' for text in cells)}</tr>"
        for row, cells in zip(rows, report.cells, strict=True)
    )
    listed = "".join(
        f"<tr><th>{html.escape(key)}</th><td>{html.escape(_plain(value))}</td></tr>"
        for key, value in facts.items()
        if key not in ("unet", "preprocess")
    )
    shown = f"<img src='samples.png' alt='{html.escape(report.samples, quote=True)}'>"
    samples = shown if (folder / "samples.png").is_file() else "<p>No samples yet.</p>"
    page = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(report.title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>:root{{color-scheme:light dark}}
body{{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse}} .wide{{overflow-x:auto}} .settings td{{overflow-wrap:anywhere}}
td,th{{padding:.2rem .7rem;border-bottom:1px solid #8886;text-align:left}}
img{{max-width:100%;image-rendering:pixelated}}</style>
<h1>{html.escape(report.title)}</h1>
<p>{html.escape(report.intro)}</p>
<img src="curves.png" alt="Training loss, and {html.escape(report.chart, quote=True)}, by step">
<div class="wide"><table><tr><th>step</th>{heads}</tr>{body}</table></div>
<h2>Samples</h2><p>{html.escape(report.samples)}</p>{samples}
<h2>Settings</h2><table class="settings">{listed}</table></html>
"""
    write_text_atomic(folder / "training.html", page)
