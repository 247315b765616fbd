"""The groups that a set's attributes make."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fraudit.faces.attributes import require_attributes, usual_attributes
from fraudit.stats.groups import join_labels, label_groups, word_groups
from fraudit.types import Bool, FaceSet

LEAKED = (
    "male",
    "gender",
    "young",
    "smiling",
    "eyeglasses",
)  # usual ones that smaller vectors may still carry
TIMES = ("date", "year", "age")  # attributes that tell when a picture was taken, the first preferred
FEWEST_GROUPS, MOST_GROUPS = 2, 8  # of an attribute that is no continuous number


def chosen_attributes(faces: FaceSet, by: Sequence[str], most: int = 3) -> tuple[str, ...]:
    """The attributes to group by: those asked for, else the usual demographic ones that the set has.

    Raises:
        UsageError: an attribute that the set does not have.
    """
    require_attributes(faces, by)
    return tuple(by) or usual_attributes(faces.attributes, most)


def demographic_groups(
    faces: FaceSet, by: Sequence[str] = (), intersections: bool = False
) -> dict[str, NDArray[np.str_]]:
    """Attribute (and, where asked for, the intersection of the first two) -> str[N] groups, '' where unknown.

    Raises:
        UsageError: an attribute that the set does not have.
    """
    chosen = chosen_attributes(faces, by)
    groups = {name: label_groups(np.asarray(faces.attributes[name])) for name in chosen}
    named = {name: word_groups(name, labels) for name, labels in groups.items()}
    if intersections and len(chosen) >= 2:
        first, second = chosen[:2]
        named[f"{first} x {second}"] = join_labels([named[first], named[second]])
    return named


def group_masks(values: np.ndarray) -> dict[str, Bool]:
    """Group label -> bool[N] of faces, for an attribute of two to eight values. Empty for a continuous attribute."""
    text = values.dtype.kind in "UOS"
    known = np.array([str(v) != "" for v in values]) if text else np.isfinite(values.astype(float))
    labels = np.unique(values[known])
    if not FEWEST_GROUPS <= len(labels) <= MOST_GROUPS:
        return {}
    return {(str(v) if text else f"{float(v):g}"): known & (values == v) for v in labels}
