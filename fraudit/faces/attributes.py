"""A set's attributes by name: which are demographic, whatever their case, and whether those asked for are there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fraudit.errors import UsageError, suggest
from fraudit.types import FaceSet

DEMOGRAPHIC = (
    "race",
    "ethnicity",
    "gender",
    "sex",
    "male",
    "age_group",
    "young",
)  # usual names, the first preferred


def spellings(names: Iterable[str]) -> dict[str, str]:
    """Lower case -> the name as the set spells it: CelebA writes Male, Young."""
    return {name.lower(): name for name in names}


def usual_attributes(names: Iterable[str], most: int, usual: Sequence[str] = DEMOGRAPHIC) -> tuple[str, ...]:
    """The first `most` of `usual` (lower case) among a set's attributes `names`, as the set spells them."""
    spelt = spellings(names)
    return tuple(spelt[name] for name in usual if name in spelt)[:most]


def require_attributes(faces: FaceSet, wanted: Sequence[str]) -> None:
    """Raises UsageError on an attribute that the set does not have."""
    known = list(faces.attributes)
    for name in wanted:
        if name not in known:
            raise UsageError(
                f"the set '{faces.name}' has no attribute '{name}'",
                f"{suggest(name, known)}known: {', '.join(sorted(known))}",
            )
