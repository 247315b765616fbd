"""What is asked of a threshold, checked before anything is opened."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fraudit.errors import UsageError
from fraudit.policy.profiles import profile
from fraudit.stats.promises import HIGHEST_TARGET, LOWEST_TARGET


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for.

    Attributes:
        fmr, fpir: targets, 1e-6 to 0.5, each once; one of either at least, or those that `profile` demands.
        people: enrolled in the gallery of a FPIR; 0: half of those who can be.
        every_group: attributes for each of whose groups every bound has to hold.
        confidence: of each bound, one-sided, in (0.5, 1).
        prior: share of comparisons that are of one person, in (0, 1), or None: no probability is told.
        profile: named plan of demands, or ''. seed: of the halves.
    """

    fmr: tuple[float, ...] = ()
    fpir: tuple[float, ...] = ()
    people: int = 0
    every_group: tuple[str, ...] = ()
    confidence: float = 0.95
    prior: float | None = None
    profile: str = ""
    seed: int = 0

    def __post_init__(self) -> None:
        for name, targets in (("fmr", self.fmr), ("fpir", self.fpir)):
            for target in targets:
                if not LOWEST_TARGET * (1 - 1e-9) <= target <= HIGHEST_TARGET:
                    raise UsageError(
                        f"--{name}: expected a target between {LOWEST_TARGET:g} and {HIGHEST_TARGET:g}, found "
                        f"{target:g}",
                        f"--{name} 1e-3 accepts one in a thousand",
                    )
        if not 0.5 < self.confidence < 1:
            raise UsageError(
                f"--confidence: expected a number between 0.5 and 1, found {self.confidence:g}",
                "--confidence 0.95",
            )
        if self.prior is not None and not 0 < self.prior < 1:
            raise UsageError(
                f"--prior: expected a probability between 0 and 1, found {self.prior:g}",
                "state how often a comparison is of one person, such as --prior 0.01",
            )
        if self.seed < 0:
            raise UsageError(f"--seed: expected at least 0, found {self.seed}")
        if self.people < 0 or self.people == 1:
            raise UsageError(f"--people: expected at least 2 enrolled people, found {self.people}")
        demanded = {
            d.metric: d.limit for d in (profile(self.profile) if self.profile else ()) if d.kind == "at most"
        }
        if not self.fmr and not self.fpir and "fmr" not in demanded:
            raise UsageError("no target was given", "--fmr 1e-4 (or --fpir 1e-2 --people 5000)")
        if self.people and not self.fpir and "fpir" not in demanded:
            raise UsageError("--people is the gallery of a FPIR, and no --fpir was given", "--fpir 1e-2")

    def completed(self) -> Asked:
        """With the targets that the profile demands where none were named, each once.

        A threshold chosen for a limit lies at that limit, so that other people seldom show it below; one for half of
        the limit is chosen too.
        """
        demands = profile(self.profile) if self.profile else ()
        limits = {d.metric: d.limit for d in demands if d.kind == "at most" and d.limit is not None}
        named = {"fmr": self.fmr, "fpir": self.fpir}
        for metric in named:
            if not named[metric] and metric in limits:
                named[metric] = (limits[metric] / 2, limits[metric])
        fmr, fpir = (tuple(dict.fromkeys(named[metric])) for metric in ("fmr", "fpir"))
        return replace(self, fmr=fmr, fpir=fpir)
