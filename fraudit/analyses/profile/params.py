"""Parameters of the profile analysis."""

from __future__ import annotations

from dataclasses import dataclass

NAME, TITLE = "profile", "Demands of a named plan"


@dataclass(frozen=True)
class Params:
    """Which plan, and for which deployment.

    Attributes:
        plan: named plan of demands (`--profile`): nist-800-63a-4 or iso-19795-10.
        people: enrolled in operation; 0: not known, and the largest gallery tested is half of those who can be.
        fmr: FMR targets whose thresholds are held against the plan; by default the plan's limit and half of it.
        fpir: FPIR targets likewise.
        every_group: attributes whose groups are tested; by default the usual demographic ones of the set.
        confidence: of each bound, one-sided.
    """

    plan: str = "nist-800-63a-4"
    people: int = 0
    fmr: tuple[float, ...] = ()
    fpir: tuple[float, ...] = ()
    every_group: tuple[str, ...] = ()
    confidence: float = 0.95

    def __post_init__(self) -> None:
        from fraudit.deployment.asked import Asked
        from fraudit.errors import UsageError

        try:
            Asked(self.fmr, self.fpir, self.people, self.every_group, self.confidence, None, self.plan)
        except UsageError as error:
            message = f"{error.message}: {error.hint}" if error.hint else error.message
            for option, parameter in (("--every-group", "every_group"), ("--profile", "plan"), ("--", "")):
                message = message.replace(option, parameter)
            raise ValueError(message) from error
