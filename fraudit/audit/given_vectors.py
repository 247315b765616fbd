"""An audit of vectors that exist already, matched to a set's pictures by their ids.

No model is asked, but for a second one that they are compared with and that is no stored vectors itself.
"""

from __future__ import annotations

import contextlib
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fraudit.audit.execute import choose_analyses, unmet
from fraudit.audit.limited import limited
from fraudit.audit.matching import Matched, match
from fraudit.audit.other import check_other, open_other, stored_model, vectors_file
from fraudit.audit.plan import AuditPlan
from fraudit.audit.runner import read_faces
from fraudit.audit.stored_vectors import StoredVectors, run_stored, stored_context
from fraudit.embedding.loading import load_embedder
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import FrauditError, UsageError
from fraudit.faces.detect import Locator
from fraudit.files.store import Store
from fraudit.files.vectors import read_given
from fraudit.progress import Reporter, silent
from fraudit.report.record import RunRecord
from fraudit.types import FaceSet

NO_MODEL = (
    "there are vectors and no model that could be shown pictures: audit the model itself for this analysis"
)
NO_INVERTER = "there are vectors and no model that could judge what an inverter makes of them"
SHOWN = 3  # ids in a message


def stated(plan: AuditPlan, file: Path) -> dict[str, Any]:
    """The plan of an audit of given vectors as its record states it."""
    return {**plan.as_dict(), "vectors": str(file)}


@dataclass(frozen=True, slots=True)
class GivenAudit:
    """An audit of given vectors that is ready to run; `other` is None too where a second model is to be asked."""

    plan: AuditPlan
    file: Path
    faces: FaceSet
    model: StoredVectors
    unknown: tuple[str, ...]
    locate: Locator | None
    other: StoredVectors | None = None

    @property
    def stated(self) -> dict[str, Any]:
        """The plan as the record states it."""
        return stated(self.plan, self.file)


def prepare_given(plan: AuditPlan, file: Path, reporter: Reporter | None = None) -> GivenAudit:
    """Read the set and the vectors, and bring them together.

    Raises:
        FrauditError: wrong data, or vectors of other pictures.
    """
    report = reporter or silent()
    choose_analyses(plan)
    second = None if plan.other is None else vectors_file(plan.other)
    if plan.other_weights is not None and (plan.other is None or second is not None):
        raise UsageError(
            "--other-weights goes with a second model that is asked", "--other NAME names it; leave them out"
        )
    check_other(plan)
    given = read_given(file)
    faces = read_faces(replace(plan, limit=None), report)
    found = match(given, faces, file)
    kept = faces
    if plan.limit:
        kept = limited(faces, plan.limit)
        place = {name: at for at, name in enumerate(faces.ids)}
        rows = [place[name] for name in kept.ids]
        found = Matched(
            found.vectors[rows], found.ok[rows], tuple(found.reasons[r] for r in rows), found.unknown
        )
        report.say(f"{kept.name}: limited to {len(kept):,} pictures")
    left_out = dict(kept.left_out)
    if found.unknown:
        some = ", ".join(found.unknown[:SHOWN]) + (", ..." if len(found.unknown) > SHOWN else "")
        left_out["vectors whose id names no picture of the set"] = len(found.unknown)
        report.say(f"left out: {len(found.unknown):,} vectors whose id names no picture of the set: {some}")
    report.say(f"{int(found.ok.sum()):,} of {len(kept):,} pictures have a vector")
    model = StoredVectors(
        plan.embedder, found.vectors, found.ok, found.reasons, unasked=NO_MODEL, no_inverter=NO_INVERTER
    )
    locate = None
    if kept.landmarks is None:
        asked = plan.other is not None and second is None
        # where no model is asked, only what reads faces from pictures misses it, and says so
        with contextlib.nullcontext() if asked else contextlib.suppress(FrauditError):
            locate = Locator(plan.detector or "", plan.several_faces)
    other = None if second is None else stored_model(second, kept)
    return GivenAudit(plan, file, replace(kept, left_out=left_out), model, found.unknown, locate, other)


def run_given(
    audit: GivenAudit, run_dir: Path, *, overwrite: bool = False, reporter: Reporter | None = None
) -> RunRecord:
    """Every analysis that needs no model into `run_dir`; the others say why not. A second model is opened and asked.

    Raises:
        FrauditError: the folder is taken, no picture has a vector, or there is no such second model.
    """
    told = reporter or silent()
    with ExitStack() as boxes:

        def opened(name: str, weights: str | None) -> EmbedderRuntime:
            told.say(f"loading {name}")
            box = EmbedderRuntime(load_embedder(name, weights=Path(weights) if weights else None), Store())
            boxes.callback(box.close)
            for note in box.loaded.notes:
                told.say(f"note: {note}")
            return box

        return run_stored(
            audit.plan,
            audit.faces,
            audit.model,
            run_dir,
            audit.stated,
            locate=audit.locate,
            other=audit.other or open_other(audit.plan, audit.faces, opened),
            boxes=boxes,
            command=audit.plan.command("--vectors", str(audit.file)),
            overwrite=overwrite,
            reporter=reporter,
        )


def expected(audit: GivenAudit) -> dict[str, str]:
    """Analysis -> '' where it runs, else why not, as far as that is known beforehand."""
    named = audit.model if audit.plan.other is not None else None  # in its place: it is not asked beforehand
    context = stored_context(
        audit.plan, audit.faces, audit.model, Path(), silent(), other=audit.other or named
    )
    return {analysis.name: unmet(analysis, context) for analysis in choose_analyses(audit.plan)}
