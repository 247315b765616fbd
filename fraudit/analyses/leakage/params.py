"""Parameters of the leakage analysis."""

from __future__ import annotations

from dataclasses import dataclass

from fraudit.stats.family import FAMILY_LEVEL

NAME, TITLE = "leakage", "Leakage"


@dataclass(frozen=True, slots=True)
class Params:
    """Parameters.

    Attributes:
        targets: labels of the set or measured quantities to read; by default the usual ones that there are.
        identity_traits: further labels that count as arguably identity.
        measure: measure pose, expression and quality in the pictures.
        max_faces: faces at most, whole people drawn at random.
        folds: identity-disjoint folds, and groups of people that the intervals leave out; at least 5.
        flips: sign flips of people for the p values; raised where Holm's correction needs more.
        mlp: also train the nonlinear probe.
        level: family-wise error level of the tests (Holm).
    """

    targets: tuple[str, ...] = ()
    identity_traits: tuple[str, ...] = ()
    measure: bool = True
    max_faces: int = 4000
    folds: int = 10
    flips: int = 2999
    mlp: bool = True
    level: float = FAMILY_LEVEL
