"""Makes pictures of ID vectors and shows them to the audited model and every judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.errors import InsufficientData
from fraudit.faces.align import align
from fraudit.files.pictures import remembered_pictures
from fraudit.files.store import digest_of
from fraudit.inverters.geometry import landmarks_of
from fraudit.inverters.inverting import Told, guidance_of, invert_refined, nobody, reembed
from fraudit.types import F32, I64, U8, Embeddings, Inverter

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.embedding.runtime import EmbedderRuntime

SAVED_PIECES = 8  # pieces of an inverter between two writes of what it made


def judging_models(context: AnalysisContext) -> tuple[EmbedderRuntime, ...]:
    """The audited model and every independent judge: all of them judge."""
    return (context.embedder, *context.judges)


def require_inverter(context: AnalysisContext) -> Inverter:
    """The audit's inverter. Raises InsufficientData where there is none."""
    if context.inverter is None:
        raise InsufficientData(context.inverter_missing)
    return context.inverter


def default_scale(inverter: Inverter | None) -> float:
    """Share of the default sample sizes: stated by the inverter, never by the clock (docs/adr/0006)."""
    return float(getattr(inverter, "share", 1.0))


def _dependencies(inverter: Any) -> dict[str, Any] | None:
    """What a stored picture of this inverter depends on, or None where that is not known."""
    card = getattr(inverter, "card", {})
    sha = card.get("weights_sha256") or card.get("sha256") or card.get("files")
    return {"inverter": inverter.name, "card": digest_of(dict(card))} if sha else None


def seeds_of_faces(context: AnalysisContext, rows: I64) -> I64:
    """i64[N]: the seed with which faces i64[N] are inverted once, so that analyses share a face's picture."""
    return context.seed + np.asarray(rows, np.int64)


def make_pictures(
    context: AnalysisContext,
    vectors: F32,
    seeds: I64,
    refine: int = 0,
    *,
    told: Told = nobody,
    **options: Any,
) -> U8:
    """u8[N,S,S,3] pictures of f32[N,D] vectors; one that was made before, by whatever analysis, is not made again.

    A picture follows from its vector, seed and options alone. They are remembered where the inverter's weights are
    known by hash, after each few pieces, so that an audit that was cut off goes on from there.

    Args:
        told: how many more pictures there are; those of every round of refinement count.
        options: of the inverter; None leaves one to it, an array of two dimensions has one row a vector.
    """
    inverter = require_inverter(context)
    # What the inverter would choose itself is left to it: the same picture by another analysis is then known as such.
    usual = {"guidance": guidance_of(inverter)} if options.get("attributes") is None else {}
    options = {k: v for k, v in options.items() if v is not None and not (k in usual and v == usual[k])}
    size = inverter.size_px
    if not len(vectors):
        return np.zeros((0, size, size, 3), np.uint8)
    about = _dependencies(inverter)
    if about is None:
        return np.asarray(invert_refined(inverter, context.embedder, vectors, seeds, refine, told, **options))
    shared = options | ({"refine": refine} if refine else {})
    own = {name: value for name, value in shared.items() if _by_row(value)}
    parts = {**about, "options": repr({k: v for k, v in sorted(shared.items()) if k not in own})}
    keys = [
        digest_of(
            {**parts, "vector": vectors[i], "seed": int(seeds[i]), "own": {k: v[i] for k, v in own.items()}}
        )
        for i in range(len(vectors))
    ]
    with remembered_pictures(context.store, digest_of(about), size) as remembered:
        made = remembered.get(keys)
        first = {key: i for i, key in reversed(list(enumerate(keys)))}
        new = sorted(i for key, i in first.items() if key not in made)
        told((len(keys) - len(new)) * (1 + refine))
        step = SAVED_PIECES * max(1, int(getattr(inverter, "chunk", 0)))
        for start in range(0, len(new), step):
            rows = np.array(new[start : start + step])
            given = {k: v[rows] if k in own else v for k, v in options.items()}
            pictures = invert_refined(
                inverter, context.embedder, vectors[rows], seeds[rows], refine, told, **given
            )
            fresh = {keys[i]: picture for i, picture in zip(rows, pictures, strict=True)}
            remembered.put(fresh)
            made |= fresh
    return np.stack([made[key] for key in keys])


def _by_row(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.ndim == 2


def shown_to(context: AnalysisContext, box: EmbedderRuntime, pictures: U8) -> Embeddings:
    """What `box` says of u8[N,S,S,3] pictures, while the person is told how far it is."""
    return reembed(box, pictures, context.part(f"showing pictures to {box.spec.name}", len(pictures)).add)


def crops_at(context: AnalysisContext, rows: Sequence[int] | I64, size_px: int) -> U8:
    """u8[M,S,S,3]: faces `rows` in the inverters' geometry, S = `size_px`."""
    points, template = context.landmarks()[0], landmarks_of(size_px)
    size = (size_px, size_px)
    return np.stack([align(context.picture(int(i)), points[int(i)], size, template) for i in rows])


def usable_rows(context: AnalysisContext) -> I64:
    """i64[*]: judged faces that the audited model has a vector of and whose landmarks are known."""
    found = np.array([not reason for reason in context.landmarks()[1]], bool)
    rows = np.flatnonzero(context.embeddings().ok & ~context.calibration_mask() & found)
    if len(np.unique(context.faces.subjects[rows])) < 2:
        raise InsufficientData("fewer than two people outside the calibration half have a vector")
    return rows
