"""An audit of a black box that answers scores alone: what it costs first, then the same analyses as ever."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from fraudit.audit.asked_pictures import AskedPictures
from fraudit.audit.asked_scores import AskedScores, Asker
from fraudit.audit.asking import AskingPlan, Budget, plan_within, read_params
from fraudit.audit.context import AnalysisContext
from fraudit.audit.execute import choose_analyses, execute
from fraudit.audit.inputs import scorer_inputs
from fraudit.audit.plan import AuditPlan
from fraudit.audit.runner import read_faces
from fraudit.errors import UsageError
from fraudit.faces.detect import Locator
from fraudit.files.store import Store, cache_root
from fraudit.formatting import percent
from fraudit.progress import Reporter, silent
from fraudit.report.record import RunRecord
from fraudit.scorers.loading import ScorerRuntime, load_scorer
from fraudit.types import Analysis, FaceSet

SCORER = "scorer"  # the table of its parameters


@dataclass(frozen=True, slots=True)
class Prepared:
    """An audit that is ready to ask its first question; `boxes` closes the black box."""

    plan: AuditPlan
    scorer: str
    faces: FaceSet
    context: AnalysisContext
    runtime: ScorerRuntime
    pictures: AskedPictures
    asking: AskingPlan
    budget: Budget
    analyses: tuple[Analysis, ...]
    boxes: ExitStack


def prepare(
    plan: AuditPlan,
    scorer: str,
    run_dir: Path,
    max_queries: int | None = None,
    reporter: Reporter | None = None,
) -> Prepared:
    """Open the data and count the queries; nothing is asked.

    Args:
        plan: `embedder` is ignored; parameters under `scorer` are those of asking.
    Raises:
        FrauditError: wrong data, scorer, parameters or budget.
    """
    report = reporter or silent()
    if max_queries is not None and max_queries < 1:
        raise UsageError(f"--max-queries: expected at least 1, found {max_queries}")
    for name in plan.params:
        if name != SCORER:
            raise UsageError(
                f"--param {name}.*: a scorer's parameters are scorer.*", "--param scorer.probes=20"
            )
    analyses = choose_analyses(plan, SCORER)
    params, own = read_params(plan.params.get(SCORER, {}), analyses)
    with ExitStack() as boxes:
        runtime = ScorerRuntime(load_scorer(scorer), cache_root(), max_queries)
        boxes.callback(runtime.close)
        faces = read_faces(plan, report)
        locate = None if faces.landmarks is not None else Locator(plan.detector or "", plan.several_faces)
        context = AnalysisContext(
            plan,
            faces,
            None,
            store=Store(),
            run_dir=run_dir,
            locate=locate,
            say=report.say,
            show_progress=report.progress,
        )
        pictures = AskedPictures(context, runtime.spec.preprocess)
        report.say("counting queries")
        wanted = [(a, own[a.name]) for a in analyses if a.name in own]
        asking, found = plan_within(context, pictures, runtime, params, wanted)
        context.use_scores(AskedScores(Asker(context, runtime, pictures, asking, found.total_new)))
        return Prepared(
            plan, scorer, faces, context, runtime, pictures, asking, found, tuple(analyses), boxes.pop_all()
        )


def budget_text(prepared: Prepared) -> str:
    """What will be asked and what it costs, for a person."""
    found, spec = prepared.budget, prepared.runtime.spec
    lines = [f"{spec.name} on {prepared.faces.name}: one query a pair"]
    lines += [f"  {name}: {total:,} pairs, {new:,} new queries" for name, (total, new) in found.parts.items()]
    lines += [f"  {name}: not run: {why}" for name, why in prepared.asking.skipped.items()]
    price = (
        f", {found.cost:,.2f} {spec.currency}".rstrip()
        if spec.cost_per_query
        else ", no price stated in the card"
    )
    cut = f" ({percent(found.share, 0)} of the full plan, to keep --max-queries)" if found.share < 1 else ""
    return "\n".join([*lines, f"  together: {found.total_new:,} new queries{price}{cut}"])


def run_scorer(prepared: Prepared, *, overwrite: bool = False, reporter: Reporter | None = None) -> RunRecord:
    """Ask everything and write run.json and scores.csv into the run's folder; the black box is closed then.

    Raises:
        BudgetSpent, DataError: the box failed; what it answered is kept, and the same command goes on from there.
    """
    context, plan, most = prepared.context, prepared.plan, prepared.runtime.max_queries
    command = plan.command("--scorer", prepared.scorer)
    questions = prepared.asking.questions
    return execute(
        context,
        [(a, questions[a.name].params if a.name in questions else None) for a in prepared.analyses],
        prepared.boxes,
        lambda: scorer_inputs(context, prepared.runtime),
        plan_of(prepared),
        command=command if most is None else f"{command} --max-queries {most}",
        report=reporter,
        overwrite=overwrite,
        started=time.monotonic(),
    )


def plan_of(prepared: Prepared) -> dict[str, object]:
    """The plan as the record states it."""
    runtime = prepared.runtime
    return {**prepared.plan.as_dict(), SCORER: runtime.spec.name, "max_queries": runtime.max_queries}
