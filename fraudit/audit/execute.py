"""Runs the analyses of a plan, whatever the black box is: each on its own, the record saved after each step.

A failing analysis never stops the others: its error becomes part of the record, and the exit code says so. A failing
black box stops all of them. Boxes are closed whatever happens.
"""

from __future__ import annotations

import datetime
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import numpy as np

from fraudit.audit.context import AnalysisContext
from fraudit.audit.environment import environment
from fraudit.audit.evidence import save_evidence
from fraudit.audit.folders import claim_folder
from fraudit.audit.long_passes import long_passes
from fraudit.audit.pair_scores import NEEDS_VECTORS
from fraudit.audit.plan import AuditPlan
from fraudit.errors import FrauditError, InsufficientData, UsageError, suggest
from fraudit.plugins import ANALYSES
from fraudit.progress import Reporter, silent
from fraudit.report.record import RunRecord, normalise
from fraudit.stats.all_pairs_pieces import passes_by
from fraudit.types import Analysis, AnalysisResult, FaceSet

Chosen = Sequence[tuple[Analysis, Any]]  # analyses in report order, each with its parameters


def choose_analyses(plan: AuditPlan, *tables: str) -> list[Analysis]:
    """The plan's analyses in report order. Raises UsageError on unknown names.

    Args:
        tables: of parameters that are no analysis' own.
    """
    known = ANALYSES.names()
    for name in (*plan.only, *plan.skip, *plan.params):
        if name not in (*known, *tables):
            raise UsageError(f"unknown analysis '{name}'", f"{suggest(name, known)}known: {', '.join(known)}")
    left = [ANALYSES.get(n) for n in (plan.only or known) if n not in plan.skip]
    wanted = [a for a in left if not a.on_request or _requested(a, plan)]
    if not wanted:
        raise UsageError("no analysis is left to run", "loosen --only or --skip")
    return sorted(wanted, key=lambda a: (a.order, a.name))


def _requested(analysis: Analysis, plan: AuditPlan) -> bool:
    """Whether the plan asks for an analysis that runs on request alone."""
    named = analysis.name in plan.only or analysis.name in plan.params
    return named or ("other" in analysis.needs and plan.other is not None)


def execute(
    context: AnalysisContext,
    chosen: Chosen,
    boxes: ExitStack,
    inputs: Callable[[], Mapping[str, Any]],
    plan: Mapping[str, Any],
    *,
    command: str = "",
    report: Reporter | None = None,
    overwrite: bool = False,
    started: float | None = None,
) -> RunRecord:
    """Run every analysis into `context.run_dir`: run.json, scores.csv, vectors.npz where there are vectors, artifacts.

    Args:
        boxes: closes the black boxes; done at the end, whatever happens.
        inputs: what went in, with the bill so far. plan: as the record states it. command: that repeats the run.
        started: `time.monotonic()` of the whole, for the record's seconds.
    Raises:
        UsageError: the folder is taken. DataError: nothing has an answer.
        BudgetSpent, DataError: a box that is asked pair by pair failed (what it answered is kept), or the second
            model is a service and does not answer.
    """
    told, begun = report or silent(), time.monotonic() if started is None else started
    with boxes, passes_by(long_passes(context.engine, context.part)):
        if context.other is not None:
            context.ask_service(context.other)
        claim_folder(context.run_dir, overwrite)
        record = RunRecord(
            dict(plan),
            environment(context.plan, command),
            {},
            (),
            (),
            status="incomplete",
            created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        )
        record.save(context.run_dir)
        begin_scores(context, told)
        record = replace(record, inputs=inputs())
        left_out = {analysis.name: unmet(analysis, context) for analysis, _ in chosen}
        for analysis, _ in chosen:  # what cannot run is said before the first one takes its time
            why = left_out[analysis.name]
            told.at(analysis.title, "not run" if why else "waiting", why and f"not run: {why}")
        for analysis, params in chosen:
            if not left_out[analysis.name]:
                told.at(analysis.title, "running")
            known = context.scores.remembered
            result, failure = run_one(analysis, context, params)
            if not left_out[analysis.name]:
                counted = _count(result.queries or 0, context.scores.remembered - known, context.scores.asked)
                told.at(
                    analysis.title, result.status.replace("_", " "), _outcome(result, counted), _rate(result)
                )
            failures = (*record.failures, failure) if failure else record.failures
            record = replace(record, results=(*record.results, result), failures=failures)
            record.save(context.run_dir)
        for line in unused(context.plan, record.results):
            told.say(line)
        save_evidence(context)
        seconds = round(time.monotonic() - begun, 1)
        record = replace(
            record, status="complete", inputs=inputs(), environment={**record.environment, "seconds": seconds}
        )
        record.save(context.run_dir)
        if context.scores.queries or context.scores.remembered:
            told.say(asked_words(record.inputs, context.scores.asked))
        return record


def begin_scores(context: AnalysisContext, told: Reporter) -> None:
    """Ask for what every analysis needs, once before the first, and say how much that was."""
    scores = context.scores
    scores.begin()
    if scores.queries or scores.remembered:
        told.say(f"before the analyses: {_count(scores.queries, scores.remembered, scores.asked)}")


def _count(new: int, remembered: int, asked: str) -> str:
    """`300 faces shown`, and how many answers were remembered; '' for neither."""
    said = [f"{new:,} {asked}"] if new else []
    said += [f"{remembered:,} answers remembered"] if remembered else []
    return ", ".join(said)


def asked_words(inputs: Mapping[str, Any], asked: str) -> str:
    """What each box was asked in all, as the record has it: `faces shown in all: dlib 300`."""
    boxes = [inputs.get("embedder"), *(inputs.get("judges") or ()), inputs.get("other")]
    said = [f"{box['name']} {box.get('queries', 0):,}" for box in boxes if isinstance(box, Mapping)]
    return f"{asked} in all: {', '.join(said)}"


def run_one(
    analysis: Analysis, context: AnalysisContext, params: Any
) -> tuple[AnalysisResult, dict[str, str] | None]:
    """(result, failure or None): one analysis with its cost, or why it was not run, or how it failed.

    Raises:
        Exception: the error of a black box that cannot go on, which is no analysis' own.
    """
    reason = unmet(analysis, context)
    if reason:
        return AnalysisResult(analysis.name, analysis.title, "not_run", reason), None
    context.use_scores(context.scores.of(analysis.name))
    scores = context.scores
    before, started = scores.queries, time.monotonic()
    failure = None
    try:
        result = normalise(analysis.run(context, params))
    except InsufficientData as error:
        result = AnalysisResult(analysis.name, analysis.title, "not_run", error.message)
    except Exception as error:  # whatever a plugin's code raises; interrupts and exits pass through
        text = error.message if isinstance(error, FrauditError) else f"{type(error).__name__}: {error}"
        result = AnalysisResult(analysis.name, analysis.title, "failed", text)
        failure = {
            "analysis": analysis.name,
            "error": text,
            "hint": getattr(error, "hint", ""),
            "traceback": traceback.format_exc(),
        }
    if scores.broken is not None:
        raise scores.broken
    if result.status == "done":
        params = result.params if scores.stated is None else dict(scores.stated)
        result = replace(result, params=params, caveats=(*result.caveats, *context.box_notes))
    result = replace(
        result,
        seconds=round(time.monotonic() - started, 2),
        queries=scores.queries - before,
        faces=result.faces if result.faces is not None else len(context.faces),
    )
    return result, failure


def unmet(analysis: Analysis, context: AnalysisContext) -> str:
    """Why `analysis` cannot run here, or ''."""
    faces = context.faces
    listed = faces.templates is not None and faces.templates.pairs is not None
    if not context.scores.vectors:
        if analysis.asks is None:
            return NEEDS_VECTORS
        if analysis.name in context.scores.skipped:
            return context.scores.skipped[analysis.name]
    reasons = {
        "identities": "" if faces.identified else f"the set '{faces.name}' names no identities",
        "pairs": ""
        if faces.pairs is not None or faces.identified or listed
        else "; ".join(
            ["the set has no pairs and no identities", *(n for n in faces.notes if "pairs not" in n)]
        ),
        "attributes": "" if faces.attributes else f"the set '{faces.name}' has no attributes",
        "landmarks": "",
        "inverter": "" if context.inverter else context.inverter_missing,
        "judge": "" if context.judges else "no independent judge was given (--judge)",
        "other": "" if context.other else "no second model was given (--other)",
        "vectors": "" if context.scores.vectors else NEEDS_VECTORS,
        "pictures": context.no_pictures,
    }
    return "; ".join(reasons[need] for need in analysis.needs if reasons[need])


def unused(plan: AuditPlan, results: Sequence[AnalysisResult]) -> list[str]:
    """One line for each analysis whose parameters were given and not used, since it does not run."""
    found = {result.name: result for result in results}
    said = []
    for name in ANALYSES.names():
        given = plan.params.get(name) or {}
        result = found.get(name)
        if not given or (result is not None and result.status != "not_run"):
            continue
        if result is not None and len(results) == 1:
            continue  # nothing else was asked for: that it did not run is said anyway
        why = result.reason if result is not None else "it is no part of this audit"
        keys, verb = ", ".join(f"{name}.{key}" for key in given), "is" if len(given) == 1 else "are"
        said.append(f"note: --param {keys} {verb} not used: {name} does not run ({why})")
    return said


def _outcome(result: AnalysisResult, counted: str) -> str:
    """How an analysis ended; `counted`: what was asked for it, beyond what was asked before the analyses."""
    if result.status == "failed":
        return "failed"
    if result.status != "done":
        return f"{result.status.replace('_', ' ')}: {result.reason}"
    rate = f" ({_rate(result)})" if _rate(result) else ""
    asked = f", {counted}" if counted else ""
    return f"{result.seconds} s{asked}{rate}. {result.headline}"


def _rate(result: AnalysisResult) -> str:
    return f"{1e3 * result.seconds / result.faces:.1f} ms a face" if result.seconds and result.faces else ""


def exit_code(record: RunRecord) -> int:
    """0; 7 where an analysis failed while the others ran; 5 where nothing at all could be measured."""
    if record.failures:
        return 7
    return 0 if any(result.status == "done" for result in record.results) else 5


def tell_reading(faces: FaceSet, report: Reporter) -> None:
    """Say how the set was read, and what of it was left out."""
    people = f" of {len(np.unique(faces.subjects)):,} people" if faces.identified else ", nobody identified"
    pairs = f", {len(faces.pairs):,} pairs" if faces.pairs is not None else ""
    report.say(f"{faces.name}: {len(faces):,} pictures{people}{pairs}")
    for note in faces.notes:
        report.say(f"note: {note}")
    for reason, count in faces.left_out.items():
        report.say(f"left out: {count:,} {reason}")
