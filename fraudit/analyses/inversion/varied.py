"""Likeness against variety, and what attributes do to one vector: the paper's Table 3 and Figures 1 and 5, measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.analyses.inversion.measure import Sizes, Sources, likeness, samples_of
from fraudit.analyses.inversion.params import Params
from fraudit.analyses.inversion.perceptual import pose_spreads
from fraudit.analyses.shared.counted import chart_curve, counted_metric, mean_or_none
from fraudit.analyses.shared.reconstructions import judging_models, make_pictures, require_inverter, shown_to
from fraudit.analyses.shared.words import judge_key, judge_name
from fraudit.inverters.inverting import Told, cosine, nobody
from fraudit.inverters.variety import Variety, options_of, varieties_of
from fraudit.stats.estimates import Estimate
from fraudit.stats.inversion import pixel_spread
from fraudit.types import F32, I64, U8, Column, Figure, Gallery, GalleryItem, GalleryRow, Metric, Table

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

# Kansy et al. 2023, Table 3: their network, trained on FFHQ for their model; pose in degrees, expression by 3DDFA_V2.
PUBLISHED = (
    ("paper, identity alone", 16.2, 1.10),
    ("paper, with attributes (set 2)", 16.9, 1.45),
)
TURNED = (-30.0, -15.0, 0.0, 15.0, 30.0)
CHANGED = (
    ("as it is", ()),
    ("smiling", (("emotion.happiness", 1.0),)),
    ("serious", (("emotion.happiness", 0.0),)),
    ("with glasses", (("glasses", 1.0),)),
    ("age 70", (("age", 0.7),)),
    ("age 20", (("age", 0.2),)),
)


@dataclass(frozen=True, slots=True)
class Varied:
    """One step of the control by everyone who judges.

    Attributes:
        step: which. similarity: judge -> mean cosine to the source. pose, expression, pixels: mean pairwise distance
            among samples of one vector; None where it cannot be measured.
    """

    step: Variety
    similarity: dict[tuple[str, bool], Estimate | None]
    pose: Estimate | None
    expression: Estimate | None
    pixels: Estimate | None


def vary(
    context: AnalysisContext, params: Params, sizes: Sizes, sources: Sources, told: Told = nobody
) -> list[Varied]:
    """K samples of N people at every step of the control; () for an inverter that has none."""
    from fraudit.faces.pose3d import missing

    inverter, k = require_inverter(context), sizes.samples
    # The sweep's vectors and seeds: pictures at the inverter's own temperature are remembered from there.
    chosen, vectors, seeds = samples_of(context, sizes, sources)
    people = context.faces.subjects[chosen]
    found = []
    for step in varieties_of(inverter):
        pictures = make_pictures(
            context,
            vectors,
            seeds,
            told=told,
            guidance=None if step.drawn else params.guidance,
            steps=params.steps,
            **options_of(step, inverter, seeds),
        )
        similarity = {
            (box.spec.name, box is context.embedder): mean_or_none(
                likeness(context, box, pictures, chosen)[2], people
            )
            for box in judging_models(context)
        }
        pose = moved = None
        if not missing():
            pose, moved = (mean_or_none(values, people) for values in pose_spreads(pictures, k))
        found.append(Varied(step, similarity, pose, moved, mean_or_none(pixel_spread(pictures, k), people)))
    return found


def variety_metrics(varied: Sequence[Varied]) -> list[Metric]:
    """Likeness and diversity at every step, named after it."""
    from fraudit.faces.pose3d import missing

    found = []
    for v in varied:
        at = f"@variety={v.step.name}"
        for (judge, own), mean in v.similarity.items():
            found.append(
                counted_metric(
                    f"inversion.{judge_key(judge, own)}.sample_similarity{at}",
                    mean,
                    "nobody has a reconstruction with a vector",
                    f"Mean cosine of samples to their source by {judge_name(judge, own)}, variety {v.step.name}",
                    n_unit="vectors",
                )
            )
        for name, unit, text, mean in (
            ("pose_diversity", "deg", "pose distance among samples of one vector, 3DDFA_V2", v.pose),
            (
                "expression_diversity",
                "",
                "expression distance among samples of one vector, 3DDFA_V2",
                v.expression,
            ),
            ("pixel_diversity", "", "RMS pixel difference among samples of one vector", v.pixels),
        ):
            found.append(
                counted_metric(
                    f"inversion.{name}{at}",
                    mean,
                    missing() or "too few samples",
                    f"Mean pairwise {text}, variety {v.step.name}",
                    unit=unit,
                    n_unit="vectors",
                )
            )
    return found


def _counted(varied: Sequence[Varied]) -> str:
    """Over how many people, and whether there are intervals, or why not."""
    mean = next((m for v in varied for m in v.similarity.values() if m is not None), None)
    if mean is None:
        return "Nobody has a reconstruction with a vector."
    ends = "Bars and brackets: 95 % intervals" if mean.interval else f"No interval ({mean.reason})"
    return f"{ends}; {mean.n} vectors."


def variety_table(varied: Sequence[Varied]) -> Table | None:
    """Each step and the paper's Table 3 beside it; None without a step."""
    if not varied:
        return None

    def cell(mean: Estimate | None, digits: int) -> str:
        if mean is None:
            return "not measured"
        if mean.interval is None:
            return f"{mean.value:.{digits}f} (no interval)"
        return f"{mean.value:.{digits}f} ({mean.interval.low:.{digits}f} to {mean.interval.high:.{digits}f})"

    judges = list(varied[0].similarity)
    columns = [
        Column("variety", "variety"),
        *(Column(f"cosine_{judge_key(*judge)}", f"cosine by {judge_name(*judge)}") for judge in judges),
        Column("pose", "pose apart, degrees"),
        Column("expression", "expression apart"),
        Column("pixels", "pixels apart"),
    ]
    rows: list[dict[str, Any]] = [
        {
            "variety": f"{v.step.name}: {v.step.words}",
            **{f"cosine_{judge_key(*judge)}": cell(v.similarity[judge], 3) for judge in judges},
            "pose": cell(v.pose, 1),
            "expression": cell(v.expression, 2),
            "pixels": cell(v.pixels, 0),
        }
        for v in varied
    ]
    rows += [
        {
            "variety": f"{name}; published, of another network and model",
            "pose": f"{pose:g}",
            "expression": f"{moved:.2f}",
        }
        for name, pose, moved in PUBLISHED
    ]
    return Table(
        "inversion_variety",
        "From most like the vector to most varied",
        tuple(columns),
        tuple({column.key: row.get(column.key) for column in columns} for row in rows),
        f"Samples of one vector, mean pairwise distance among them. {_counted(varied)} More variety costs likeness; "
        "fraudit invert --variety chooses a step.",
    )


def variety_figure(varied: Sequence[Varied]) -> Figure | None:
    """Likeness against each kind of variety."""
    kinds = {"pose apart, degrees": "pose", "expression apart": "expression", "pixels apart": "pixels"}
    shown = {p: f for p, f in kinds.items() if all(getattr(v, f) is not None for v in varied)}
    if len(varied) < 2 or not shown:
        return None
    series, words = [], []
    for panel, field in shown.items():
        for judge, own in varied[0].similarity:
            means = [v.similarity[judge, own] for v in varied]
            series.append(
                {
                    "name": judge_name(judge, own),
                    "panel": panel,
                    "points": True,
                    "x": [getattr(v, field).value for v in varied],
                    **chart_curve(means),
                }
            )
    for v in varied:
        likeness = "; ".join(
            f"{judge_name(*judge)} {mean.value:.3f}"
            for judge, mean in v.similarity.items()
            if mean is not None
        )
        apart = ", ".join(f"{p} {getattr(v, f).value:.2f}" for p, f in shown.items())
        words.append(f"{v.step.name}: cosine by {likeness}; {apart}")
    return Figure(
        "inversion_variety",
        "lines",
        "Likeness against variety",
        "Each point is one step of --variety, from alike on the left to the most varied: the temperature rises, then "
        f"pose and expression are drawn. {_counted(varied)}",
        ". ".join(words) + ".",
        {
            "x": {"label": "", "scale": "linear"},
            "y": {"label": "cosine to the source", "scale": "linear"},
            "series": series,
            "panels": {p: {"x": {"label": p, "scale": "linear"}} for p in shown},
        },
    )


def strips(context: AnalysisContext, params: Params, sources: Sources) -> tuple[Gallery, ...]:
    """Film strips of one vector: turned, and smiling, with glasses, older; () for an inverter without attributes."""
    inverter = require_inverter(context)
    if not getattr(inverter, "attribute_set", ""):
        return ()
    count = min(3, len(sources.rows))
    chosen = np.sort(context.rng("inversion/strips").choice(len(sources.rows), count, replace=False))
    known = set(inverter.labelled)  # type: ignore[attr-defined]
    turned = [(f"yaw {yaw:g}°", {"pose.yaw": (yaw + 90) / 180}) for yaw in TURNED]
    changed = [(words, dict(entries)) for words, entries in CHANGED if set(dict(entries)) <= known]
    kinds = (
        ("inversion_turned", "The same vector, turned", "the head pose asked for", turned),
        ("inversion_changed", "The same vector, changed", "what was asked for", changed),
    )
    # One batch: an inverter works in pieces of a fixed size, so that a picture alone costs as much as a piece.
    asked = [(int(i), told) for _, _, _, frames in kinds for i in chosen for _, told in frames]
    attributes = np.stack([inverter.entries(told) for _, told in asked])  # type: ignore[attr-defined]
    made = iter(_asked(context, params, sources, np.array([i for i, _ in asked]), attributes))
    found = []
    for key, title, what, frames in kinds:
        rows = []
        for number in range(count):
            items = []
            for words, _ in frames:
                picture, line = next(made)
                items.append(GalleryItem(context.save_picture(picture), f"{words}: {line}", (words, line)))
            rows.append(GalleryRow(f"vector {number + 1}", tuple(items)))
        found.append(
            Gallery(
                key,
                title,
                f"Every picture of a row was made from one ID vector and one seed; under it {what}, and the cosine to "
                "the source by the audited model. A seeded choice, not the best.",
                tuple(rows),
            )
        )
    return tuple(found)


def _asked(
    context: AnalysisContext, params: Params, sources: Sources, asked: I64, attributes: F32
) -> list[tuple[U8, str]]:
    """The picture of every source `asked` with its row of attributes, and its cosine to the source in words.

    All are guided alike, also where nothing is asked, so that a row differs in its attributes only.
    """
    vectors = context.embeddings().vectors[sources.rows[asked]]
    seeds = np.full(len(asked), context.seed + 7)
    made = make_pictures(context, vectors, seeds, steps=params.steps, attributes=attributes)
    again = shown_to(context, context.embedder, made)
    nearness = cosine(again.vectors, vectors)
    return [
        (picture, f"cosine {near:.2f}" if seen else "no vector")
        for picture, near, seen in zip(made, nearness, again.ok, strict=True)
    ]
