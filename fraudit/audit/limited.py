"""`--limit`: a part of a set, and what it means for the figures in words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fraudit.faces.limiting import first_people
from fraudit.stats.intervals import LEAST_PEOPLE
from fraudit.types import FaceSet


def limited(faces: FaceSet, limit: int | None) -> FaceSet:
    """`first_people` of a set, with a note where it takes more than `limit` pictures or leaves too few people.

    Args:
        limit: pictures at most; None takes the whole set.
    """
    if not limit:
        return faces
    part = first_people(faces, limit)
    kept = len(np.unique(part.subjects))
    said = []
    if len(part) > limit:
        said.append(f"--limit {limit} takes {len(part):,} pictures: people are kept whole, two at least")
    if len(part) < len(faces) and faces.identified and kept < LEAST_PEOPLE:
        said.append(
            f"{kept} people are too few for most figures, intervals need {LEAST_PEOPLE:.0f}: {_way(faces)}"
        )
    return replace(part, notes=(*part.notes, "; ".join(said))) if said else part


def _way(faces: FaceSet) -> str:
    """What to do to keep enough people."""
    first, counts = np.unique(faces.subjects, return_index=True, return_counts=True)[1:]
    if len(counts) < LEAST_PEOPLE:
        return "use a larger set"
    if faces.pairs is not None:
        return "raise --limit"
    return f"--limit {int(counts[np.argsort(first)][: int(LEAST_PEOPLE)].sum()):,} or more"
