"""Parameters of the bias analysis."""

from __future__ import annotations

from dataclasses import dataclass

from fraudit.stats.family import BIAS_LEVEL

RECONSTRUCTIONS = 100  # faces of each group, where inverting is asked for


@dataclass(frozen=True)
class Params:
    """Parameters.

    Attributes:
        by: attributes to group by; by default the usual demographic ones that the set has (at most three).
        intersections: also audit the combination of the first two attributes.
        fmr: the global operating point.
        min_people: groups with fewer judged people are listed but nothing is concluded of them.
        min_genuine: the same for genuine pairs (FNMR).
        alpha: weight of FMR against FNMR in FDR, IR and GARBE.
        level: probability of any finding where all groups are equal; Holm over every test of the run: all
            attributes, FMR, FNMR and reconstructions.
        reconstructions: faces a group that are inverted where an inverter exists, times the share it asks for; by
            default 100 in an audit with the inversion section, else none.
    """

    by: tuple[str, ...] = ()
    intersections: bool = True
    fmr: float = 1e-3
    min_people: int = 10
    min_genuine: int = 30
    alpha: float = 0.5
    level: float = BIAS_LEVEL
    reconstructions: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """How much a black box that only compares is asked: `--param scorer.group_pairs=400`.

    Attributes:
        group_pairs: genuine pairs, and impostor pairs, of each demographic group at most.
        by: attributes to group by; the usual demographic ones by default (at most two).
    """

    group_pairs: int = 400
    by: tuple[str, ...] = ()
