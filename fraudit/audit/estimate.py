"""What an audit of an embedder will ask and how long that takes, before anything is asked.

Questions are counted from the plan, the set and the parameters, at most: what was asked before is remembered and costs
nothing. Seconds a face and a picture are measured on this machine with grey faces; a service is not asked for it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.audit.context import AnalysisContext
from fraudit.audit.execute import choose_analyses, unmet
from fraudit.audit.limited import limited
from fraudit.audit.plan import AuditPlan, build_params
from fraudit.embedding.loading import load_embedder
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import DataError, InsufficientData, UsageError
from fraudit.faces.detect import Locator
from fraudit.faces.sources import open_faces
from fraudit.files.store import Store
from fraudit.inverters.loading import find_inverter
from fraudit.plugins import analyses_needing
from fraudit.progress import duration
from fraudit.types import Work

USUAL_STEPS = 10
TIMED_STEPS = 1  # of the sampler while an inverter is timed; a picture takes its steps times as long


@dataclass(frozen=True, slots=True)
class Estimate:
    """The bill of an audit.

    Attributes:
        model, faces: of what, over how many faces. parts: analysis -> Work; `embedding` comes first.
        skipped: analysis -> why it will not run.
        face, picture, locating: seconds each on this machine, None where not measured.
        judges: how many judges are asked as well.
    """

    model: str
    faces: int
    parts: dict[str, Work]
    skipped: dict[str, str]
    face: float | None
    picture: float | None
    locating: float | None
    judges: int

    @property
    def questions(self) -> int:
        """Faces shown to the audited model, at most."""
        return sum(work.questions for work in self.parts.values())

    def seconds(self, work: Work) -> float | None:
        """Of one part, its own arithmetic not counted; None where a service answers."""
        if self.face is None:
            return None
        each = (self.face, self.picture or 0.0, self.locating or 0.0)
        counts = (work.questions, work.pictures, work.located)
        return sum(t * n for t, n in zip(each, counts, strict=True))

    @property
    def total(self) -> float | None:
        """Seconds of all parts."""
        found = [self.seconds(work) for work in self.parts.values()]
        return None if None in found else sum(s for s in found if s is not None)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for `--dry-run --json`."""
        return {
            "faces": self.faces,
            "questions": self.questions,
            "seconds": None if self.total is None else round(self.total, 1),
            "parts": {
                name: {"questions": w.questions, "pictures": w.pictures, "seconds": self.seconds(w)}
                for name, w in self.parts.items()
            },
            "skipped": self.skipped,
        }

    def text(self) -> str:
        """The same for a person."""
        lines = [f"{self.model}: {self.faces:,} faces; at most, for what was asked before is remembered:"]
        for name, work in self.parts.items():
            said = [f"{work.questions:,} questions"]
            said += [f"{work.pictures:,} pictures of the inverter"] if work.pictures else []
            seconds = self.seconds(work)
            said += [] if seconds is None else [f"about {duration(seconds)}"]
            lines.append(f"  {name}: {', '.join(said)}")
        lines += [f"  {name}: not run: {why}" for name, why in self.skipped.items()]
        time_ = (
            "the time is the service's"
            if self.total is None
            else f"about {duration(self.total)} on this machine"
        )
        lines.append(f"  together: {self.questions:,} questions, {time_}, statistics not counted")
        if self.judges:
            lines.append(
                f"  every judge is shown the set and the inverter's pictures too ({self.judges}, not counted)"
            )
        return "\n".join(lines)


def estimate(plan: AuditPlan) -> Estimate:
    """Count and time what `plan` will ask; a service is asked nothing.

    Raises:
        FrauditError: wrong plan, data or weights.
    """
    analyses = choose_analyses(plan)
    faces = open_faces(plan.dataset, **plan.reading())
    faces = limited(faces, plan.limit)
    weights = Path(plan.weights) if plan.weights else None
    box = EmbedderRuntime(load_embedder(plan.embedder, weights=weights), Store())
    inverter, missing = find_inverter(plan.inverter, box.loaded)
    locate = None if faces.landmarks is not None else Locator(plan.detector or "", plan.several_faces)
    context = AnalysisContext(
        plan,
        faces,
        box,
        store=Store(),
        run_dir=Path(),
        locate=locate,
        inverter=inverter,
        inverter_missing=missing,
    )
    parts = {"embedding": Work(len(faces), 0, len(faces) if locate else 0)}
    skipped: dict[str, str] = {}
    for analysis in analyses:
        why = unmet(analysis, context)
        if ("judge" in analysis.needs and plan.judges) or ("other" in analysis.needs and plan.other):
            why = ""
        params = build_params(analysis.params, plan.params.get(analysis.name, {}), analysis.name)
        try:
            if why:
                raise InsufficientData(why)
            parts[analysis.name] = analysis.work(context, params) if analysis.work else Work()
        except (InsufficientData, UsageError) as error:
            skipped[analysis.name] = error.message
    remote = box.loaded.meter is not None
    pictures = any(work.pictures for work in parts.values())
    try:
        return Estimate(
            f"{box.spec.name} on {faces.name}",
            len(faces),
            parts,
            skipped,
            None if remote else _face_seconds(box),
            _picture_seconds(inverter, box, plan) if inverter is not None and pictures else None,
            _locating_seconds(context, locate) if locate else None,
            len(plan.judges),
        )
    finally:
        if box.loaded.close:
            box.loaded.close()


def _face_seconds(box: EmbedderRuntime) -> float:
    height, width = box.spec.preprocess.size
    count = min(box.loaded.batch_size, 8)
    grey = np.full((count, height, width, 3), 127, np.uint8)
    box.loaded.forward(grey)
    started = time.monotonic()
    box.loaded.forward(grey)
    return (time.monotonic() - started) / count


def _picture_seconds(inverter: Any, box: EmbedderRuntime, plan: AuditPlan) -> float:
    count = int(getattr(inverter, "chunk", 1))
    vectors = np.random.default_rng(0).normal(size=(count, box.spec.dim)).astype(np.float32)
    started = time.monotonic()
    inverter.invert(vectors, np.arange(count), steps=TIMED_STEPS)
    steps = _steps(plan) if hasattr(inverter, "chunk") else 1
    return (time.monotonic() - started) / count * steps / TIMED_STEPS


def _steps(plan: AuditPlan) -> float:
    """Steps of the sampler that the plan asks an analysis of the inverter for."""
    given = [plan.params.get(name, {}).get("steps") for name in analyses_needing("inverter")]
    return float(next((steps for steps in given if steps is not None), USUAL_STEPS))


def _locating_seconds(context: AnalysisContext, locate: Locator) -> float | None:
    for index in range(min(5, len(context.faces))):
        try:
            data = context.faces.read_bytes(index)
            picture = context.faces.decode(data)
        except DataError:
            continue
        locate.detector.find(picture)  # the first one loads it
        started = time.monotonic()
        locate.detector.find(picture)
        return time.monotonic() - started
    return None
