"""How near pictures of people that a training never saw are to their own sources, and to others'."""

from __future__ import annotations

from typing import Any

import numpy as np

from fraudit.diffusion.data.shards import Shards
from fraudit.diffusion.training.evaluate import embed_pictures, held_out_rows, paired_and_shuffled
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.inverters.geometry import landmarks_of
from fraudit.types import Inverter

PROBE = 64  # people held out who judge the result


def evaluated(
    inverter: Inverter, data: Shards, runtime: EmbedderRuntime, judge: EmbedderRuntime | None
) -> dict[str, Any]:
    """Cosines of pictures of people held out to their own and to another person's source, by each model."""
    rows = held_out_rows(data, True)[:PROBE]
    if len(rows) < 2:
        return {"missing": f"expected at least 2 people held out, found {len(rows)}"}
    pictures = inverter.invert(data.vectors[rows], np.arange(len(rows)))
    points = landmarks_of(pictures.shape[1])
    found: dict[str, Any] = {}
    for name, box in (("embedder", runtime), *((("judge", judge),) if judge is not None else ())):
        wanted, seen = embed_pictures(box, data.pictures[rows], points)
        made, ok = embed_pictures(box, pictures, points)
        found[name] = paired_and_shuffled(made, wanted, ok & seen)
    if judge is not None:
        found["judge_name"] = judge.spec.name
    found["heeds_condition"] = heeds_condition(found["embedder"])
    return found


def heeds_condition(found: dict[str, Any]) -> bool | None:
    """Whether made faces are nearer to their own source than to another's beyond doubt; None: it cannot be told."""
    if "missing" in found:
        return None
    return bool(found["own"]["low"] > found["other"]["high"])
