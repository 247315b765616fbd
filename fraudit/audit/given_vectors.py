"""An audit of vectors that exist already, matched to a set's pictures by their ids; no model is asked."""

from __future__ import annotations

import contextlib
import posixpath
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.audit.execute import choose_analyses, unmet
from fraudit.audit.plan import AuditPlan
from fraudit.audit.runner import read_faces
from fraudit.audit.stored_vectors import StoredVectors, run_stored, stored_context
from fraudit.errors import DataError, FrauditError
from fraudit.faces.detect import Locator
from fraudit.faces.limiting import first_people
from fraudit.faces.pairing import Finder, composed
from fraudit.files.vectors import GivenVectors, read_given
from fraudit.progress import Reporter, silent
from fraudit.report.record import RunRecord
from fraudit.types import F32, Bool, FaceSet

ABSENT = "the file has no vector of this picture"
NO_MODEL = (
    "there are vectors and no model that could be shown pictures: audit the model itself for this analysis"
)
NO_INVERTER = "there are vectors and no model that could judge what an inverter makes of them"
SHOWN = 3  # ids in a message


@dataclass(frozen=True, slots=True)
class Matched:
    """Vectors in the order of a set's faces: f32[N,D], bool[N], N reasons; ids of the file that name no picture."""

    vectors: F32
    ok: Bool
    reasons: tuple[str, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GivenAudit:
    """An audit of given vectors that is ready to run."""

    plan: AuditPlan
    file: Path
    faces: FaceSet
    model: StoredVectors
    unknown: tuple[str, ...]
    locate: Locator | None

    @property
    def stated(self) -> dict[str, Any]:
        """The plan as the record states it."""
        return {**self.plan.as_dict(), "vectors": str(self.file)}


def match(given: GivenVectors, faces: FaceSet, file: Path) -> Matched:
    """Bring vectors into the order of a set's faces.

    An id is a picture's path in the set, the end of it, or a longer path that ends in it; another ending is allowed.

    Raises:
        DataError: no id names a picture, or two name one.
    """
    finder, names = Finder(faces.ids), [_bare(name) for name in faces.ids]
    rows = np.full(len(faces), -1, np.int64)
    unknown = []
    for row, name in enumerate(given.ids):
        at = finder.find(name)
        if at is None or not _ends_alike(_bare(name), names[at]):
            unknown.append(name)
        elif rows[at] >= 0:
            raise DataError(
                f"{file}: the ids '{given.ids[rows[at]]}' and '{name}' both name the picture '{faces.ids[at]}'",
                "give every picture one vector, under its path in the set",
            )
        else:
            rows[at] = row
    if (rows < 0).all():
        raise DataError(
            f"{file}: none of its {len(given.ids):,} ids names a picture of '{faces.name}': its first is "
            f"'{given.ids[0]}', the set's is '{faces.ids[0]}'",
            "ids are paths in the set (docs/formats.md); fraudit datasets and fraudit sheet show how a set is read",
        )
    held = rows >= 0
    vectors = np.where(held[:, None], given.vectors[rows], 0).astype(np.float32)
    reasons = tuple(given.reasons[row] if row >= 0 else ABSENT for row in rows)
    return Matched(vectors, held & given.ok[rows], reasons, tuple(unknown))


def _bare(name: str) -> str:
    return posixpath.splitext(composed(name))[0]


def _ends_alike(one: str, other: str) -> bool:
    """Whether one path is the other, or the end of it."""
    return one == other or one.endswith(f"/{other}") or other.endswith(f"/{one}")


def name_of(file: Path) -> str:
    """The model's name: that of the run beside the file, else the file's or its folder's."""
    with contextlib.suppress(FrauditError):
        box = RunRecord.load(file.parent).inputs.get("embedder")
        if isinstance(box, dict) and box.get("name"):
            return str(box["name"])
    return file.stem if file.stem != "vectors" else file.resolve().parent.name or file.stem


def prepare_given(plan: AuditPlan, file: Path, reporter: Reporter | None = None) -> GivenAudit:
    """Read the set and the vectors, and bring them together.

    Raises:
        FrauditError: wrong data, or vectors of other pictures.
    """
    report = reporter or silent()
    choose_analyses(plan)
    given = read_given(file)
    faces = read_faces(replace(plan, limit=None), report)
    found = match(given, faces, file)
    kept = faces
    if plan.limit:
        kept = first_people(faces, plan.limit)
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
        with contextlib.suppress(FrauditError):  # only what reads faces from pictures misses it, and says so
            locate = Locator(plan.detector or "", plan.several_faces)
    return GivenAudit(plan, file, replace(kept, left_out=left_out), model, found.unknown, locate)


def run_given(
    audit: GivenAudit, run_dir: Path, *, overwrite: bool = False, reporter: Reporter | None = None
) -> RunRecord:
    """Every analysis that needs no model into `run_dir`; the others say why not.

    Raises:
        FrauditError: the folder is taken, or no picture has a vector.
    """
    return run_stored(
        audit.plan,
        audit.faces,
        audit.model,
        run_dir,
        audit.stated,
        locate=audit.locate,
        command=audit.plan.command("--vectors", str(audit.file)),
        overwrite=overwrite,
        reporter=reporter,
    )


def expected(audit: GivenAudit) -> dict[str, str]:
    """Analysis -> '' where it runs, else why not, as far as that is known beforehand."""
    context = stored_context(audit.plan, audit.faces, audit.model, Path(), silent())
    return {analysis.name: unmet(analysis, context) for analysis in choose_analyses(audit.plan)}
