"""Which pairs the bias analysis asks a black box that only compares: genuine and impostor pairs of every group."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fraudit.analyses.bias.params import Asked, Params
from fraudit.analyses.shared.attributes import chosen_attributes, demographic_groups
from fraudit.audit.asking import Asking, GroupPairs, Questions
from fraudit.errors import InsufficientData
from fraudit.stats.pairs import genuine_pairs, impostor_pairs
from fraudit.types import I64

MOST_ATTRIBUTES = 2


def questions(asking: Asking, asked: Asked) -> Questions:
    """Pairs within every group of the attributes, outside the calibration half.

    Raises:
        InsufficientData: the set names no identities, or no attribute has pairs of two groups.
    """
    faces = asking.context.faces
    if asking.context.declared is not None:
        raise InsufficientData(f"the set '{faces.name}' names no identities, only some pairs")
    by = chosen_attributes(faces, asked.by, MOST_ATTRIBUTES)
    params = Params(by=by, intersections=len(by) == MOST_ATTRIBUTES)
    found: dict[str, GroupPairs] = {}
    if by:
        for name, labels in demographic_groups(faces, by, params.intersections).items():
            pairs = _pairs(asking, asked.group_pairs, name, labels)
            if pairs is not None:
                found[name] = pairs
    if not found:
        raise InsufficientData(
            f"the set '{faces.name}' has no usual demographic attribute with pairs of two groups"
        )
    return Questions(params, {"by": list(found)}, groups=found)


def _pairs(asking: Asking, most: int, name: str, labels: NDArray[np.str_]) -> GroupPairs | None:
    """At most `most` impostor and genuine pairs of every group; None where fewer than two groups have any."""
    context = asking.context
    usable, subjects = asking.pictures.usable & ~asking.held, context.faces.subjects
    genuine = genuine_pairs(subjects) if context.faces.identified else (np.empty(0, np.int64),) * 2
    columns: list[tuple[I64, I64, bool, str]] = []
    for group in [str(g) for g in np.unique(labels[usable]) if g != ""]:
        rows, label = np.flatnonzero((labels == group) & usable), f"scorer/{name}/{group}"
        left, right = impostor_pairs(subjects[rows], most, context.rng(label))
        part = asking.part(f"{label}/order", len(left), most)
        columns.append((rows[left[part]], rows[right[part]], False, group))
        own = np.flatnonzero(np.isin(genuine[0], rows) & np.isin(genuine[1], rows))
        own = asking.part(f"{label}/genuine", own, most)
        columns.append((genuine[0][own], genuine[1][own], True, group))
    if len({c[3] for c in columns if len(c[0])}) < 2:
        return None
    return GroupPairs(
        name,
        np.concatenate([c[0] for c in columns]),
        np.concatenate([c[1] for c in columns]),
        np.concatenate([np.full(len(c[0]), c[2]) for c in columns]),
        np.concatenate([np.full(len(c[0]), c[3], dtype=object) for c in columns]).astype(str),
    )
