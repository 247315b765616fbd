"""What an audit of an embedder will ask and how long that takes, before anything is asked.

Questions are counted from the plan, the set and the parameters, at most: what was asked before is remembered and costs
nothing. Seconds a face and a picture are measured on this machine with grey faces; a service is not asked for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fraudit.audit.context import AnalysisContext
from fraudit.audit.plan import AuditPlan, build_params
from fraudit.audit.runner import choose_analyses, unmet
from fraudit.embedding.loading import load_embedder
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import DataError, InsufficientData, UsageError
from fraudit.faces.detect import Locator
from fraudit.faces.limiting import first_people
from fraudit.faces.sources import open_faces
from fraudit.files.store import Store
from fraudit.inverters.loading import find_inverter
from fraudit.progress import duration

TIMED_STEPS = 1  # of the sampler while an inverter is timed; a picture takes its steps times as long


@dataclass(frozen=True, slots=True)
class Work:
    """What one part asks at most: faces shown to the model, pictures made by the inverter, faces looked for."""

    questions: int = 0
    pictures: int = 0
    located: int = 0


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
        time_ = "the time is the service's" if self.total is None else f"about {duration(self.total)} on this machine"
        lines.append(f"  together: {self.questions:,} questions, {time_}, statistics not counted")
        if self.judges:
            lines.append(f"  every judge is shown the set and the inverter's pictures too ({self.judges}, not counted)")
        return "\n".join(lines)


def _robustness(context: AnalysisContext, params: Any) -> Work:
    from fraudit.analyses.robustness import RECONSTRUCTIONS
    from fraudit.perturb.catalogue import resolve

    corruptions = resolve(params.corruptions)
    shown = min(context.max_faces(params.probes), len(context.faces)) * len(corruptions) * len(params.severities)
    people, _ = context.pictures_asked(params.reconstructions, RECONSTRUCTIONS, "robustness.reconstructions")
    made = people * (1 + len(corruptions))
    return Work(shown + made, made, shown if params.where == "picture" and context.has_detector else 0)


def _compression(context: AnalysisContext, params: Any) -> Work:
    from fraudit.analyses.compression import RECONSTRUCTIONS
    from fraudit.stats.pca import sweep_dims

    people, _ = context.pictures_asked(params.reconstructions, RECONSTRUCTIONS, "compression.reconstructions")
    made = people * len(sweep_dims(context.embedder.spec.dim))
    return Work(made, made)


def _bias(context: AnalysisContext, params: Any) -> Work:
    from fraudit.analyses.bias import attribute_groups, pictures_asked
    from fraudit.analyses.inversion.measure import default_scale

    each, _ = pictures_asked(context, params)
    if not each:
        return Work()
    most = context.max_faces(max(8, round(each * default_scale(context.inverter))))
    judged = len(context.faces) // 2
    made = 0
    for labels in attribute_groups(context, params).values():
        groups = np.unique(labels[labels != ""], return_counts=True)[1]
        made += int(np.minimum(np.minimum(groups, judged), most).sum())
    return Work(made, made)


def _directions(context: AnalysisContext, params: Any) -> Work:
    from fraudit.analyses.directions import PICTURED
    from fraudit.analyses.directions.measure import FEWEST
    from fraudit.analyses.inversion.measure import default_scale

    count, _ = context.pictures_asked(params.pictured, PICTURED, "directions.pictured")
    if not count:
        return Work()
    scale = default_scale(context.inverter) if params.scale is None else params.scale
    walkers, paths = (max(FEWEST, round(n * scale)) for n in (params.walkers, params.paths))
    made = count * walkers * len({0.0, *params.gaps}) + paths * params.frames
    return Work(made, made)


def _inversion(context: AnalysisContext, params: Any) -> Work:
    from dataclasses import replace

    from fraudit.analyses.inversion.measure import choose_sizes
    from fraudit.inverters.inverting import guidance_of

    if params.guidance is None:
        params = replace(params, guidance=guidance_of(context.inverter))  # type: ignore[arg-type]
    sizes = choose_sizes(context, params, np.arange(max(1, len(context.faces) // 2)))
    made = sizes.pictures(params.refine)
    # Sources and replaced pictures are shown at the inverter's resolution as well.
    return Work(made + sizes.sources + sizes.pairs, made)


def _verification(context: AnalysisContext, params: Any) -> Work:
    mirrored = bool(set(params.modes) - {"exact"})
    return Work(2 * len(context.faces) if mirrored else 0)


COUNTS: dict[str, Callable[[AnalysisContext, Any], Work]] = {
    "verification": _verification, "robustness": _robustness, "compression": _compression, "bias": _bias,
    "directions": _directions, "inversion": _inversion,
}  # fmt: skip


def estimate(plan: AuditPlan) -> Estimate:
    """Count and time what `plan` will ask; a service is asked nothing.

    Raises:
        FrauditError: wrong plan, data or weights.
    """
    analyses = choose_analyses(plan)
    faces = open_faces(plan.dataset, **plan.reading())
    if plan.limit:
        faces = first_people(faces, plan.limit)
    weights = Path(plan.weights) if plan.weights else None
    box = EmbedderRuntime(load_embedder(plan.embedder, weights=weights), Store())
    inverter, missing = find_inverter(plan.inverter, box.loaded)
    locate = None if faces.landmarks is not None else Locator(plan.detector or "", plan.several_faces)
    context = AnalysisContext(
        plan, faces, box, store=Store(), run_dir=Path(), locate=locate, inverter=inverter, inverter_missing=missing
    )
    parts = {"embedding": Work(len(faces), 0, len(faces) if locate else 0)}
    skipped: dict[str, str] = {}
    for analysis in analyses:
        why = unmet(analysis, context)
        if "judge" in analysis.needs and plan.judges:
            why = ""
        params = build_params(analysis.params, plan.params.get(analysis.name, {}), analysis.name)
        try:
            if why:
                raise InsufficientData(why)
            parts[analysis.name] = COUNTS.get(analysis.name, lambda *_: Work())(context, params)
        except (InsufficientData, UsageError) as error:
            skipped[analysis.name] = error.message
    remote = box.loaded.meter is not None
    pictures = any(work.pictures for work in parts.values())
    try:
        return Estimate(
            f"{box.spec.name} on {faces.name}", len(faces), parts, skipped,
            None if remote else _face_seconds(box),
            _picture_seconds(inverter, box, plan) if inverter is not None and pictures else None,
            _locating_seconds(context, locate) if locate else None,
            len(plan.judges),
        )  # fmt: skip
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
    steps = float(plan.params.get("inversion", {}).get("steps", 10)) if hasattr(inverter, "chunk") else 1
    return (time.monotonic() - started) / count * steps / TIMED_STEPS


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
