"""Options of the robustness grid, and the shares of its error budget."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fraudit.stats.family import FAMILY_LEVEL

NAME, TITLE = "robustness", "Robustness"
# Share of reports of a model that no corruption touches in which any finding may be low or worse (docs/severity.md):
# half of it for rises of FNMR, a quarter each for rises of FMR and for gaps between groups.
FNMR_ERROR, FMR_ERROR, GAP_ERROR = FAMILY_LEVEL / 2, FAMILY_LEVEL / 4, FAMILY_LEVEL / 4
RECONSTRUCTIONS = 2  # probes, where inverting is asked for


@dataclass(frozen=True, slots=True)
class Params:
    """Options of the robustness grid.

    Attributes:
        corruptions: names or families (noise, blur, light, digital, geometry, occlusion); all by default.
        severities: of 1..5.
        where: corrupt the `picture` before alignment, or the `aligned` face.
        fmr: FMR that fixes the clean threshold; by default 1e-3 with 78 people or more to choose it on, else 1e-2.
        probes: faces to corrupt, at most; each is shown once for every corruption and severity.
        by: attribute for the grid per demographic group; `auto` takes a usual one where present, `none` none.
        group_floor: people below which nothing is concluded about a group.
        reference: folder of another run, whose FNMR is the denominator of the corruption error.
        ood: folder of pictures out of distribution (drawings, renders) to compare with the face set.
        reconstructions: probes whose corrupted vectors are inverted where an inverter exists; by default 2 in an
            audit with the inversion section, else none.
    """

    corruptions: tuple[str, ...] = ()
    severities: tuple[int, ...] = (1, 3, 5)
    where: Literal["picture", "aligned"] = "picture"
    fmr: float | None = None
    probes: int = 60
    by: str = "auto"
    group_floor: int = 10
    reference: str = ""
    ood: str = ""
    reconstructions: int | None = None

    def __post_init__(self) -> None:
        if not self.severities or not set(self.severities) <= {1, 2, 3, 4, 5}:
            raise ValueError(f"severities: expected some of 1, 2, 3, 4, 5, found {self.severities}")
        if len(set(self.severities)) != len(self.severities):
            raise ValueError(f"severities: each at most once, found {self.severities}")
        if self.probes < 2:
            raise ValueError(f"probes: expected at least 2, found {self.probes}")
        if self.fmr is not None and not 0 < self.fmr < 1:
            raise ValueError(f"fmr: expected a rate in (0, 1), found {self.fmr}")


@dataclass(frozen=True, slots=True)
class Asked:
    """How much a black box that only compares is asked: `--param scorer.probes=20`.

    Attributes:
        probes: faces that are corrupted, each compared with one mate and one stranger in every cell.
        severities, corruptions: of the grid; all corruptions by default.
    """

    probes: int = 20
    severities: tuple[int, ...] = (1, 3, 5)
    corruptions: tuple[str, ...] = ()
