"""What a contact sheet and its CSV say of a picture: the cosine, and whether the model takes it for the person."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fraudit.embedding.runtime import EmbedderRuntime

FMRS = (1e-3, 1e-2)  # the strictest that can be resolved
AUTO = "sample"


@dataclass(frozen=True, slots=True)
class Mark:
    """The threshold that pictures are held against.

    Attributes:
        value: cosine from which on two pictures pass as one person, None where it is not known.
        words: the threshold and where it comes from, or why there is none.
    """

    value: float | None
    words: str

    def shown(self, cosine: float) -> str:
        """`0.62 match`, for under a picture."""
        if math.isnan(cosine):
            return "no vector"
        if self.value is None:
            return f"{cosine:.2f}"
        return f"{cosine:.2f} {'match' if cosine >= self.value else 'no match'}"

    def match(self, cosine: float) -> str:
        """`yes`, `no`, or '' where it is not known: for the CSV."""
        if self.value is None or math.isnan(cosine):
            return ""
        return "yes" if cosine >= self.value else "no"


def six(cosine: float) -> str:
    """Six decimals, for the CSV: nearby pictures differ in the third."""
    return "no vector" if math.isnan(cosine) else f"{cosine:.6f}"


def mark(choice: str, runtime: EmbedderRuntime) -> Mark:
    """The threshold that `choice` asks for.

    Args:
        choice: a cosine, `none`, a face set that it is chosen on, or `auto`: the bundled sample, but no questions to a
            service, which may cost money.
    Raises:
        UsageError: a cosine that is none.
        DataError: a set that cannot be read, or that has too few people.
    """
    from fraudit.errors import UsageError

    if choice == "none":
        return Mark(None, "no threshold was asked for")
    if choice == "auto" and runtime.loaded.meter is not None:
        return Mark(None, "no threshold: a service is not asked without need; --threshold sample asks it")
    try:
        number = float(choice)
    except ValueError:
        return _chosen_on(AUTO if choice == "auto" else choice, runtime)
    if not -1 <= number <= 1:
        raise UsageError(f"--threshold {choice}: expected a cosine in [-1, 1], a face set, auto or none")
    return Mark(number, f"threshold {number:g}, as given")


def _chosen_on(name: str, runtime: EmbedderRuntime) -> Mark:
    from fraudit.audit.context import AnalysisContext
    from fraudit.audit.plan import AuditPlan
    from fraudit.faces.detect import Locator
    from fraudit.faces.sources import open_faces
    from fraudit.files.store import Store
    from fraudit.formatting import fmr_words
    from fraudit.progress.console import Line

    faces = open_faces(name)
    locate = None if faces.landmarks is not None else Locator()
    with Line(terse=True) as line:
        context = AnalysisContext(
            AuditPlan(runtime.spec.name, name),
            faces,
            runtime,
            store=Store(),
            run_dir=Path(),
            locate=locate,
            say=line.say,
            show_progress=line.progress,
        )
        found = [context.threshold(fmr) for fmr in FMRS]
    best = next((t for t in found if t.resolvable), found[-1])
    return Mark(
        best.value, f"threshold {best.value:.3f} for FMR {fmr_words(best.fmr_target)} on {faces.name}"
    )
