"""Makes pictures of ID vectors and shows them to the audited model and every judge."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.errors import InsufficientData
from fraudit.faces.align import align
from fraudit.files.store import digest_of
from fraudit.inverters.geometry import landmarks_of
from fraudit.inverters.inverting import Told, invert_refined, nobody, reembed
from fraudit.types import F32, I64, U8, Embeddings, Inverter

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.embedding.runtime import EmbedderRuntime


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


def make_pictures(
    context: AnalysisContext,
    vectors: F32,
    seeds: I64,
    refine: int = 0,
    *,
    told: Told = nobody,
    **options: Any,
) -> U8:
    """u8[N,S,S,3] pictures of f32[N,D] vectors; remembered where the inverter's weights are known by hash.

    Args:
        told: how many more pictures there are; those of every round of refinement count.
    """
    inverter = require_inverter(context)
    about = _dependencies(inverter)
    count = 0

    def tell(more: int) -> None:
        nonlocal count
        count += more
        told(more)

    def pictures() -> U8:
        return np.asarray(invert_refined(inverter, context.embedder, vectors, seeds, refine, tell, **options))

    if about is None:
        return pictures()
    asked = options | ({"refine": refine} if refine else {})
    parts = {**about, "vectors": digest_of(vectors), "seeds": digest_of(seeds), "options": repr(asked)}
    found = context.store.arrays("inversions", parts, lambda: {"pictures": pictures()})
    if not count:
        told(len(vectors) * (1 + refine))
    return np.asarray(found["pictures"])


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
