"""Verification: does the model tell people apart, and at what error rates?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fraudit.types import Analysis, AnalysisResult, KeyFigure, Work

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

NAME, TITLE = "verification", "Verification"


@dataclass(frozen=True, slots=True)
class Params:
    """Options of the verification analysis.

    Attributes:
        modes: fold protocols: `exact` (always computed, so that runs stay comparable), `insightface`, `facenet`.
            The last two embed every face mirrored too.
        fars: FAR targets of TAR@FAR, read off the ROC of all pairs.
        fmrs: FMR targets whose thresholds are chosen on the calibration people and judged on the others.
        bins: of the score histograms.
        points: of the DET curve, about.
    """

    modes: tuple[str, ...] = ("exact",)
    fars: tuple[float, ...] = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
    fmrs: tuple[float, ...] = (1e-2, 1e-3)
    bins: int = 60
    points: int = 160

    def __post_init__(self) -> None:
        known = ("exact", "insightface", "facenet")
        if not self.modes or not set(self.modes) <= set(known):
            raise ValueError(f"modes: expected some of {', '.join(known)}, found {self.modes}")
        for name, rates in (("fars", self.fars), ("fmrs", self.fmrs)):
            if not rates or not all(0 < rate < 1 for rate in rates):
                raise ValueError(f"{name}: expected rates in (0, 1), found {rates}")
        if self.bins < 5 or self.points < 10:
            raise ValueError(f"bins and points: expected at least 5 and 10, found {self.bins}, {self.points}")


def run(context: AnalysisContext, params: Params) -> AnalysisResult:
    """Folds, ROC figures, error rates at thresholds of other people, and failures to acquire."""
    from fraudit.analyses.verification.parts import gather, judge, result_of

    return result_of(gather(context), params, judge(context, params))


def work(context: AnalysisContext, params: Params) -> Work:
    """Faces shown mirrored too, for the protocols that ask for that."""
    mirrored = bool(set(params.modes) - {"exact"})
    return Work(2 * len(context.faces) if mirrored else 0)


ANALYSIS = Analysis(
    name=NAME,
    title=TITLE,
    summary="Accuracy over folds, DET, EER, TAR at FAR, error rates at thresholds of other people.",
    order=10,
    params=Params,
    run=run,
    needs=("pairs",),
    key_figures=(
        KeyFigure(
            "Accuracy, ten folds",
            ("verification.accuracy", "verification.accuracy.*", "verification.accuracy*"),
            as_percent=True,
        ),
        KeyFigure("FNMR at the resolvable FMR", ("verification.fnmr@fmr=*",), "lowest_fmr", as_percent=True),
    ),
    columns=(("accuracy", "verification.accuracy"), ("eer", "verification.eer")),
    # which operating points are printed: others follow from what a run stored
    cosmetic=frozenset({"bins", "points", "fmrs", "fars"}),
    from_vectors=True,
    work=work,
    comparison="fraudit.analyses.verification.comparison:COMPARISON",
)
