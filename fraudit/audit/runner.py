"""Runs a plan over an embedder: faces + black box -> every analysis -> RunRecord."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from fraudit.audit.context import AnalysisContext
from fraudit.audit.distinct import require_distinct
from fraudit.audit.engine import Engine
from fraudit.audit.execute import choose_analyses, execute, tell_reading
from fraudit.audit.folders import check_folder
from fraudit.audit.inputs import inputs
from fraudit.audit.limited import limited
from fraudit.audit.other import check_other, open_other
from fraudit.audit.plan import AuditPlan, build_params
from fraudit.embedding.loading import check_embedder, load_embedder
from fraudit.embedding.runtime import EmbedderRuntime
from fraudit.errors import UsageError
from fraudit.faces.detect import Locator
from fraudit.faces.sources import open_faces
from fraudit.files.store import Store
from fraudit.inverters.loading import check_inverter, find_inverter
from fraudit.plugins import STALE, unknown_to_installation
from fraudit.progress import Reporter, silent
from fraudit.report.record import RunRecord
from fraudit.types import FaceSet


def run_plan(
    plan: AuditPlan,
    run_dir: Path,
    *,
    overwrite: bool = False,
    reporter: Reporter | None = None,
    fits: Callable[[FaceSet], None] | None = None,
    engine: Callable[[], Engine] | None = None,
    workers: int | None = None,
) -> RunRecord:
    """Do what `plan` says, leaving run.json, scores.csv, vectors.npz and artifacts in `run_dir`.

    Args:
        fits: raises where the set does not suit what is asked; called before a model is loaded.
        engine: opens what asks the boxes elsewhere; None asks them here.
        workers: threads that read, detect and align; None takes one for each core, and two at least.
    Raises:
        FrauditError: before any analysis runs (bad plan, data, weights; what can be told without opening the set is
            told before that); afterwards failures are recorded.
    """
    report = reporter or silent()
    started = time.monotonic()
    chosen = [(a, build_params(a.params, plan.params.get(a.name, {}), a.name)) for a in choose_analyses(plan)]
    if lost := unknown_to_installation():
        report.say(f"note: the installation does not know {', '.join(lost)}; {STALE}")
    check_folder(run_dir, overwrite)
    check_models(plan)
    faces = read_faces(plan, report)
    if fits is not None:
        fits(faces)
    locate = None if faces.landmarks is not None else Locator(plan.detector or "", plan.several_faces)
    store = Store()
    report.say(f"loading {plan.embedder}")
    with ExitStack() as boxes:
        asked = engine() if engine else None
        if asked:
            boxes.callback(asked.close)
            asked.begin(faces)

        def opened(name: str, weights: str | None = None) -> EmbedderRuntime:
            loaded = load_embedder(name, weights=Path(weights) if weights else None)
            box = (
                asked.runtime(name, weights, loaded, store)
                if asked
                else EmbedderRuntime(loaded, store, workers)
            )
            boxes.callback(box.close)
            return box

        runtime, judges = opened(plan.embedder, plan.weights), [opened(name) for name in plan.judges]
        other = open_other(plan, faces, opened)
        for box in (runtime, *judges, *((other,) if other else ())):
            for note in box.loaded.notes:
                report.say(f"note: {note}")
        for judge in judges:
            if judge.fingerprint == runtime.fingerprint:
                raise UsageError(
                    f"the judge {judge.spec.name} is the audited model itself", "name an independent one"
                )
        inverter, inverter_missing = find_inverter(plan.inverter, runtime.loaded)
        if asked and inverter is not None:
            inverter = asked.inverter(inverter)
        context = AnalysisContext(
            plan,
            faces,
            runtime,
            store=store,
            run_dir=run_dir,
            locate=locate,
            judges=judges,
            other=other,
            inverter=inverter,
            inverter_missing=inverter_missing,
            say=report.say,
            show_progress=report.progress,
            engine=asked,
        )
        return execute(
            context,
            chosen,
            boxes,
            lambda: inputs(context),
            plan.as_dict(),
            report=report,
            overwrite=overwrite,
            started=started,
        )


def check_models(plan: AuditPlan) -> None:
    """Whether every model and the inverter of the plan is there, before a set is opened or a model loaded.

    Raises:
        FrauditError: no such name, card, file, module or secret.
    """
    check_embedder(plan.embedder, plan.weights)
    for judge in plan.judges:
        check_embedder(judge)
    check_other(plan)
    check_inverter(plan.inverter)


def read_faces(plan: AuditPlan, report: Reporter) -> FaceSet:
    """The plan's faces. Raises DataError, UsageError."""
    report.say(f"opening {plan.dataset}")
    faces = open_faces(plan.dataset, **plan.reading())
    require_distinct(plan.distinct, faces)
    faces = limited(faces, plan.limit)
    tell_reading(faces, report)
    return faces
