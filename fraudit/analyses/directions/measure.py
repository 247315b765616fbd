"""How far one can move in the space of ID vectors, by closed form and by pictures that are re-embedded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.analyses.directions.params import PICTURED, Params
from fraudit.analyses.shared.reconstructions import default_scale, judging_models, make_pictures, shown_to
from fraudit.errors import DataError
from fraudit.inverters.inverting import cosine, interpolate
from fraudit.stats.directions import Direction, amount_until, morph_limit, moved_cosine
from fraudit.stats.estimates import Estimate
from fraudit.stats.inversion import spread_people, tally
from fraudit.stats.pairs import impostor_pairs, pair_cosines
from fraudit.types import F32, F64, I64, U8, Work

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.audit.thresholds import Threshold

MORPH_PAIRS = 20_000
FEWEST = 4


@dataclass(frozen=True, slots=True)
class Reach:
    """Moving judged faces towards the other group of one attribute, in the model's own space.

    Attributes:
        direction: its name. kept: share that stays within the threshold after the whole gap between the groups.
        cosine: mean cosine to the original then. limits: f64[N], gaps until the threshold is left; inf: never.
    """

    direction: str
    kept: Estimate
    cosine: float
    limits: F64


def signs(direction: Direction, rows: I64) -> F64:
    """f64[M]: +1 for faces of the low group, -1 for those of the high one, 0 for neither."""
    c = direction.contrast
    return c.low[rows].astype(float) - c.high[rows].astype(float)


def reach(direction: Direction, unit: F32, people: I64, rows: I64, threshold: float) -> Reach | None:
    """Closed form over faces `rows`; None where none of them is in either group."""
    sign = signs(direction, rows)
    use = sign != 0
    if not use.any():
        return None
    along = (unit[rows[use]].astype(np.float64) @ direction.unit) * sign[use]
    after = moved_cosine(along, direction.gap)
    own = people[rows[use]]
    limits = amount_until(along, threshold) / max(direction.gap, 1e-12)
    return Reach(direction.contrast.name, tally(after >= threshold, own, own), float(after.mean()), limits)


@dataclass(frozen=True, slots=True)
class Morph:
    """Half-way vectors between two people: share that matches both ends, over impostor pairs."""

    share: Estimate
    limit: float


def vector_morphs(
    unit: F32, subjects: I64, rows: I64, threshold: float, rng: np.random.Generator
) -> Morph | None:
    """Closed form over sampled pairs of different people among `rows`; None where there is no pair."""
    left, right = impostor_pairs(subjects[rows], MORPH_PAIRS, rng)
    if not len(left):
        return None
    cosines = pair_cosines(unit, rows[left], rows[right])
    limit = morph_limit(threshold)
    return Morph(tally(cosines >= limit, subjects[rows[left]], subjects[rows[right]]), limit)


@dataclass(frozen=True, slots=True)
class Walk:
    """Pictures along a direction, judged by one model.

    Attributes:
        gaps: f64[A], amounts in gaps between the groups. source: f64[N,A], cosine of each picture to the real
            source, NaN without a vector; start: to the picture at amount 0. threshold: of this judge.
    """

    direction: str
    judge: str
    own: bool
    gaps: F64
    people: I64
    source: F64
    start: F64
    threshold: Threshold


def kept_along(walk: Walk, at: int) -> Estimate:
    """Share of pictures at the walk's amount number `at` that match their source."""
    return tally(walk.source[:, at] >= walk.threshold.value, walk.people, walk.people)


@dataclass(frozen=True, slots=True)
class Path:
    """Pictures between two people, judged by one model: cosine of each frame to the first and second person.

    Attributes:
        first, second: f64[N,F]. vector_first, vector_second: f64[N,F], of the frames' vectors themselves (the
            audited model's). people: i64[N,2].
    """

    judge: str
    own: bool
    people: I64
    first: F64
    second: F64
    vector_first: F64
    vector_second: F64
    threshold: Threshold


def half_way(path: Path) -> Estimate | None:
    """Share of pictures from half-way vectors that match both people; None without a path."""
    if not len(path.people) or path.threshold.missing:
        return None
    at = path.first.shape[1] // 2
    both = np.fmin(path.first[:, at], path.second[:, at])
    both[~np.isfinite(path.first[:, at] + path.second[:, at])] = np.nan
    return tally(both >= path.threshold.value, path.people[:, 0], path.people[:, 1])


@dataclass(frozen=True, slots=True)
class Pictured:
    """All that was made: walks and paths by judge, and the pictures for film strips."""

    walks: tuple[Walk, ...]
    paths: tuple[Path, ...]
    strips: dict[str, U8]
    path_pictures: U8
    path_rows: I64
    scale: float


@dataclass(frozen=True, slots=True)
class Asked:
    """Vectors f32[N,D] and seeds i64[N] of pictures that are wanted; `faces`: the real ones they come from."""

    name: str
    vectors: F32
    seeds: I64
    faces: I64


def all_gaps(params: Params) -> F64:
    """f64[A]: amounts of a walk, in gaps between the groups."""
    return np.array(sorted({0.0, *params.gaps}))


def ask_walks(
    context: AnalysisContext, params: Params, chosen: Sequence[Direction], rows: I64, walkers: int
) -> list[Asked]:
    """Judged faces moved along each direction."""
    subjects, known = context.faces.subjects, context.embeddings()
    gaps, asked = all_gaps(params), []
    for d in chosen:
        name = d.contrast.name
        sign_of = dict(zip(rows.tolist(), signs(d, rows).tolist(), strict=True))
        pool = np.array([r for r in rows if sign_of[int(r)] != 0], np.int64)
        if len(np.unique(subjects[pool])) < 2:
            continue
        use = spread_people(subjects, pool, walkers, context.rng(f"directions/walk/{name}"))
        unit = known.unit()[use].astype(np.float64)
        moved = []
        for row, u in zip(use, unit, strict=True):
            norm = float(np.linalg.norm(known.vectors[row]))
            steps = u + (gaps * d.gap * sign_of[int(row)])[:, None] * d.unit
            moved.append(steps / np.linalg.norm(steps, axis=1, keepdims=True) * norm)
        vectors = np.concatenate(moved).astype(np.float32)
        asked.append(
            Asked(name, vectors, np.repeat(context.seed + np.arange(len(use)), len(gaps)), np.asarray(use))
        )
    return asked


def judge_walks(
    context: AnalysisContext, params: Params, asked: Sequence[Asked], strips: dict[str, U8]
) -> list[Walk]:
    """Every judge looks at every picture; `strips` has those of each direction."""
    subjects, gaps = context.faces.subjects, all_gaps(params)
    walks: list[Walk] = []
    for one in asked:
        name, use, pictures = one.name, one.faces, strips[one.name]
        for box in judging_models(context):
            truth, again = context.embeddings(box), shown_to(context, box, pictures)
            good = again.ok & np.repeat(truth.ok[use], len(gaps))
            to_source = cosine(again.vectors, np.repeat(truth.vectors[use], len(gaps), axis=0))
            zero = int(np.searchsorted(gaps, 0.0))
            starts = np.repeat(again.vectors.reshape(len(use), len(gaps), -1)[:, zero], len(gaps), axis=0)
            walks.append(
                Walk(
                    name,
                    box.spec.name,
                    box is context.embedder,
                    gaps,
                    subjects[use],
                    np.where(good, to_source, np.nan).reshape(len(use), -1),
                    np.where(good, cosine(again.vectors, starts), np.nan).reshape(len(use), -1),
                    context.threshold_or_reason(params.fmr, runtime=box),
                )
            )
    return walks


def ask_paths(context: AnalysisContext, params: Params, rows: I64, count: int) -> Asked:
    """Slerp frames between different people, faces i64[N,2]."""
    subjects, known = context.faces.subjects, context.embeddings()
    chosen = spread_people(subjects, rows, min(2 * count, len(rows)), context.rng("directions/paths"))
    order = context.rng("directions/ends").permutation(chosen)
    pairs = order[: len(order) // 2 * 2].reshape(-1, 2)
    pairs = pairs[subjects[pairs[:, 0]] != subjects[pairs[:, 1]]]
    frames, kept = [], []
    for i, j in pairs:
        try:
            frames.append(interpolate(known.vectors[i], known.vectors[j], params.frames))
        except DataError:
            continue  # opposite vectors have no shortest path
        kept.append((i, j))
    ends = np.array(kept, np.int64).reshape(-1, 2)
    vectors = np.concatenate([np.zeros((0, known.vectors.shape[1]), np.float32), *frames])
    return Asked("", vectors, np.repeat(context.seed + np.arange(len(ends)), params.frames), ends)


def judge_paths(context: AnalysisContext, params: Params, asked: Asked, pictures: U8) -> list[Path]:
    """Every judge looks at every picture of the paths."""
    ends, vectors = asked.faces, asked.vectors
    if not len(ends):
        return []
    subjects, known = context.faces.subjects, context.embeddings()

    def to_end(answers: F32, good: Any, truth: Any, side: int) -> F64:
        faces = np.repeat(ends[:, side], params.frames)
        both = good & truth.ok[faces]
        return np.where(both, cosine(answers, truth.vectors[faces]), np.nan).reshape(len(ends), -1)

    everything = np.ones(len(vectors), bool)
    plain = [to_end(vectors, everything, known, side) for side in (0, 1)]
    found = []
    for box in judging_models(context):
        truth, again = context.embeddings(box), shown_to(context, box, pictures)
        found.append(
            Path(
                box.spec.name,
                box is context.embedder,
                subjects[ends],
                to_end(again.vectors, again.ok, truth, 0),
                to_end(again.vectors, again.ok, truth, 1),
                plain[0],
                plain[1],
                context.threshold_or_reason(params.fmr, runtime=box),
            )
        )
    return found


def picture(context: AnalysisContext, params: Params, chosen: Sequence[Direction], rows: I64) -> Pictured:
    """Walks and paths as pictures."""
    scale = default_scale(context.inverter) if params.scale is None else params.scale
    walkers, count = (max(FEWEST, round(n * scale)) for n in (params.walkers, params.paths))
    asked = [
        *ask_walks(context, params, chosen, rows, walkers),
        ask_paths(context, params, rows, count),
    ]
    # All at once: an inverter works in pieces of a fixed size, and a piece that is not full costs as much.
    vectors = np.concatenate([one.vectors for one in asked])
    made = make_pictures(
        context,
        vectors,
        np.concatenate([one.seeds for one in asked]),
        told=context.part("directions: pictures", len(vectors)).add,
        guidance=params.guidance,
        steps=params.steps,
    )
    parts = np.split(made, np.cumsum([len(one.vectors) for one in asked])[:-1])
    strips = {one.name: pictures for one, pictures in zip(asked[:-1], parts, strict=False)}
    walks = judge_walks(context, params, asked[:-1], strips)
    paths = judge_paths(context, params, asked[-1], parts[-1])
    return Pictured(tuple(walks), tuple(paths), strips, parts[-1], asked[-1].faces, scale)


def widen(direction: Direction, use: I64, faces: int) -> Direction:
    """The direction with its groups over the whole face set instead of the faces `use` it was found on."""
    c = direction.contrast
    high, low = np.zeros(faces, bool), np.zeros(faces, bool)
    high[use], low[use] = c.high, c.low
    return replace(direction, contrast=replace(c, high=high, low=low))


def work(context: AnalysisContext, params: Params) -> Work:
    """What walks and paths ask as pictures, at most."""
    count, _ = context.pictures_asked(params.pictured, PICTURED, "directions.pictured")
    if not count:
        return Work()
    scale = default_scale(context.inverter) if params.scale is None else params.scale
    walkers, paths = (max(FEWEST, round(n * scale)) for n in (params.walkers, params.paths))
    made = count * walkers * len({0.0, *params.gaps}) + paths * params.frames
    return Work(made, made)
