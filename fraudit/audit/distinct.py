"""The statement that every picture of a set shows another person (docs/adr/0005)."""

from __future__ import annotations

from fraudit.errors import UsageError
from fraudit.formatting import percent
from fraudit.stats.calibration import DISTINCT
from fraudit.stats.repeats import FAR, Repeats
from fraudit.types import FaceSet


def repeat_words(found: Repeats) -> str:
    """The statement that nobody is shown twice, beside the pairs that look otherwise."""
    what = "one person shown twice (cosine above all that the bulk of both pictures' pairs explains)"
    if not found.count:
        return (
            f"{DISTINCT.capitalize()}. None of {found.pairs:,} pairs looks like {what}; people in more than "
            f"{percent(FAR)} of the pictures would not stand out."
        )
    looks = "pairs look" if found.count > 1 else "pair looks"
    return (
        f"{DISTINCT.capitalize()}. But {found.count:,} {looks} like {what}, of {found.pairs:,} pairs, in "
        f"{found.pictures:,} pictures: where they are, thresholds are too high, attacks are understated and false "
        "matches are counted that are none."
    )


def require_distinct(distinct: bool, faces: FaceSet) -> None:
    """Raises UsageError where the set itself says who is another person."""
    if distinct and (faces.identified or faces.pairs is not None):
        says = "names its people" if faces.identified else "declares its pairs"
        raise UsageError(
            f"--distinct: expected a set without identities and pairs, but '{faces.name}' {says}",
            "leave it out",
        )
