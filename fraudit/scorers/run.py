"""An audit of a black box that answers scores alone: verification, robustness and bias from pairs.

Everything else needs vectors, and says so. The record has the form of every other run, so reports, comparisons and
gates read it as they read the others.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from fraudit.analyses.verification.judged import Judged, judged_rates
from fraudit.analyses.verification.parts import Evidence, Extra, result_of
from fraudit.audit.context import AnalysisContext, Threshold, require_distinct
from fraudit.audit.plan import AuditPlan, build_params
from fraudit.audit.runner import Reporter, claim_folder, environment, silent, tell_reading
from fraudit.errors import InsufficientData, UsageError, suggest
from fraudit.faces.detect import Locator
from fraudit.faces.limiting import first_people
from fraudit.faces.sources import open_faces
from fraudit.files.store import Store, cache_root
from fraudit.formatting import fmr_words
from fraudit.plugins import ANALYSES
from fraudit.progress import Progress
from fraudit.report.record import RunRecord, normalise
from fraudit.scorers.loading import ScorerRuntime, load_scorer
from fraudit.scorers.plan import Budget, GroupPairs, Params, Pictures, Questions, plan_within
from fraudit.scores import ScoreSet, write_scores
from fraudit.stats import verification as v
from fraudit.stats.fairness import cross_group_fmr, rates_by_group, worst_over_best
from fraudit.stats.intervals import clustered_rate, interval_or_reason
from fraudit.stats.robustness import Cell, Comparisons, ProbePairs, share
from fraudit.stats.summaries import summary_intervals
from fraudit.types import ARCFACE_112, F64, I64, AnalysisResult, Bool, EmbedderSpec, FaceSet, Preprocess

ABLE = ("verification", "robustness", "bias")
REASON = "needs vectors; this black box returns only scores"
TARGETS = (1e-3, 1e-2, 1e-1)


@dataclass(frozen=True, slots=True)
class Prepared:
    """An audit that is ready to ask its first question."""

    plan: AuditPlan
    faces: FaceSet
    context: AnalysisContext
    runtime: ScorerRuntime
    pictures: Pictures
    params: Params
    questions: Questions
    budget: Budget
    locate: Locator | None
    wanted: tuple[str, ...]


def prepare(
    plan: AuditPlan,
    scorer: str,
    run_dir: Path,
    max_queries: int | None = None,
    reporter: Reporter | None = None,
) -> Prepared:
    """Open the data and count the queries; nothing is asked.

    Args:
        plan: `embedder` is ignored; parameters under `scorer` are `scorer_plan.Params`.
    Raises:
        FrauditError: wrong data, scorer, parameters or budget.
    """
    report = reporter or silent()
    if max_queries is not None and max_queries < 1:
        raise UsageError(f"--max-queries: expected at least 1, found {max_queries}")
    known = ANALYSES.names()
    for name in (*plan.only, *plan.skip):
        if name not in known:
            raise UsageError(f"unknown analysis '{name}'", f"{suggest(name, known)}known: {', '.join(known)}")
    for name in plan.params:
        if name != "scorer":
            raise UsageError(
                f"--param {name}.*: a scorer's parameters are scorer.*", "--param scorer.probes=20"
            )
    params = build_params(Params, plan.params.get("scorer", {}), "scorer")
    wanted = tuple(n for n in (plan.only or known) if n not in plan.skip)
    faces = open_faces(plan.dataset, **plan.reading())
    require_distinct(plan.distinct, faces)
    if plan.limit:
        faces = first_people(faces, plan.limit)
    tell_reading(faces, report)
    runtime = ScorerRuntime(load_scorer(scorer), cache_root(), max_queries)
    locate = None if faces.landmarks is not None else Locator(plan.detector or "", plan.several_faces)
    shown = runtime.spec.preprocess or Preprocess(
        (112, 112), ARCFACE_112, template_name="none: whole pictures"
    )
    stand_in = SimpleNamespace(
        spec=EmbedderSpec(runtime.spec.name, 2, shown, runtime.spec.licence, runtime.spec.source),
        fingerprint=runtime.fingerprint, queries=0,
    )  # fmt: skip
    context = AnalysisContext(
        plan, faces, stand_in, store=Store(), run_dir=run_dir, locate=locate, say=report.say,  # type: ignore[arg-type]
        show_progress=report.progress,
    )  # fmt: skip
    pictures = Pictures(context, runtime)
    report.say("counting queries")
    questions, found = plan_within(context, pictures, runtime, params, [n for n in wanted if n in ABLE])
    return Prepared(plan, faces, context, runtime, pictures, params, questions, found, locate, wanted)


def budget_text(prepared: Prepared) -> str:
    """What will be asked and what it costs, for a person."""
    found, spec = prepared.budget, prepared.runtime.spec
    lines = [f"{spec.name} on {prepared.faces.name}: one query a pair"]
    lines += [f"  {name}: {total:,} pairs, {new:,} new queries" for name, (total, new) in found.parts.items()]
    lines += [f"  {name}: not run: {why}" for name, why in prepared.questions.skipped.items()]
    price = (
        f", {found.cost:,.2f} {spec.currency}".rstrip()
        if spec.cost_per_query
        else ", no price stated in the card"
    )
    cut = f" ({found.share:.0%} of the full plan, to keep --max-queries)" if found.share < 1 else ""
    return "\n".join([*lines, f"  together: {found.total_new:,} new queries{price}{cut}"])


def run_scorer(prepared: Prepared, *, overwrite: bool = False, reporter: Reporter | None = None) -> RunRecord:
    """Ask everything and write run.json and scores.csv into the run's folder.

    Raises:
        BudgetSpent, DataError: the box failed; what it answered is kept, and the same command goes on from there.
    """
    report = reporter or silent()
    started, asked = time.monotonic(), _Asked(prepared, report)
    run_dir = prepared.context.run_dir
    claim_folder(run_dir, overwrite)
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    q = prepared.questions
    scores = asked.clean(q.verification.left, q.verification.right)

    def threshold() -> Threshold:
        return _threshold(_calibration(asked, q, scores)[0], prepared.context.declared is not None)

    makers: dict[str, Callable[[], AnalysisResult]] = {
        "verification": lambda: _verification(asked, scores),
        "robustness": lambda: _robustness(asked, threshold()),
        "bias": lambda: _bias(asked, threshold()),
    }
    results, failures = [], []
    for analysis in sorted((ANALYSES.get(n) for n in prepared.wanted), key=lambda a: (a.order, a.name)):
        why = REASON if analysis.name not in ABLE else q.skipped.get(analysis.name, "")
        if why:
            results.append(AnalysisResult(analysis.name, analysis.title, "not_run", why))
            continue
        before, begun = prepared.runtime.queries, time.monotonic()
        try:
            result = normalise(makers[analysis.name]())
        except InsufficientData as error:
            result = AnalysisResult(analysis.name, analysis.title, "not_run", error.message)
        cost = {"seconds": round(time.monotonic() - begun, 2), "queries": prepared.runtime.queries - before}
        results.append(replace(result, **cost))
        report.say(f"{analysis.title}: {result.headline or result.reason}")
    _write_scores(prepared, scores, run_dir)
    record = RunRecord(
        {**prepared.plan.as_dict(), "scorer": prepared.runtime.spec.name, "max_queries": prepared.runtime.max_queries},
        {**environment(prepared.plan), "seconds": round(time.monotonic() - started, 1)},
        _inputs(prepared), tuple(results), tuple(failures), created=created,
    )  # fmt: skip
    record.save(run_dir)
    return record


class _Asked:
    """Scores of faces by index; a face that cannot be shown has none."""

    def __init__(self, prepared: Prepared, report: Reporter) -> None:
        self.prepared = prepared
        self._told = Progress(f"asking {prepared.runtime.spec.name}", prepared.budget.total_new, report.progress)
        self._usable = prepared.pictures.usable

    def score(self, pairs: list[tuple[str, str]]) -> F64:
        """f64[N] of pairs of digests."""
        before = self._told.done
        self._told(before, self._told.total)  # the clock runs from the first question on

        def told(done: int, total: int) -> None:
            self._told(before + done, self._told.total)

        return self.prepared.runtime.score(pairs, self.prepared.pictures, told)

    def clean(self, left: I64, right: I64) -> F64:
        """f64[P] of faces as they are; NaN where one cannot be shown or the box found none."""
        found = np.full(len(left), np.nan)
        rows = np.flatnonzero(self._usable[left] & self._usable[right])
        show = self.prepared.pictures.clean
        found[rows] = self.score([(show(int(left[i])), show(int(right[i]))) for i in rows])
        return found


def _calibration(asked: _Asked, q: Questions, scores: F64) -> tuple[F64, I64, I64]:
    """Impostor scores of the calibration half f64[C] and the people of both sides i64[C].

    Raises:
        InsufficientData: none has a score.
    """
    context = asked.prepared.context
    held, people = context.calibration_mask(), context.people()
    own = asked.clean(*q.calibration)
    within = ~q.verification.same & held[q.verification.left] & held[q.verification.right]
    impostor = np.concatenate([own, scores[within]])
    left, right = (
        people[np.concatenate([one, other[within]])]
        for one, other in zip(q.calibration, (q.verification.left, q.verification.right), strict=True)
    )
    known = ~np.isnan(impostor)
    if not known.any():
        raise InsufficientData("no impostor pair of the calibration half has a score", "raise --max-queries")
    return impostor[known], left[known], right[known]


def _threshold(impostor: F64, declared: bool) -> Threshold:
    """For the smallest FMR that the calibration impostor pairs resolve."""
    target = next((t for t in TARGETS if len(impostor) >= 3 / t), TARGETS[-1])
    value = float(v.fmr_threshold(impostor, target))
    achieved = float(np.mean(impostor >= value))
    whose = "that the set declares and that" if declared else "of people that"
    return Threshold(
        value, target, achieved, len(impostor), len(impostor) >= 3 / target,
        f"chosen for FMR {fmr_words(target)} on {len(impostor):,} impostor pairs {whose} are not judged "
        f"(achieved {achieved:.2g})",
    )  # fmt: skip


def _verification(asked: _Asked, scores: F64) -> AnalysisResult:
    from fraudit.analyses.verification import Params as Options

    prepared, context = asked.prepared, asked.prepared.context
    q, people = prepared.questions.verification, context.people()
    left, right, held = people[q.left], people[q.right], context.calibration_mask()
    try:
        judged = _judged(asked, scores, ~(held[q.left] | held[q.right]), left, right)
    except InsufficientData as error:
        judged = Judged(TARGETS[-1], error.message)

    def part(use: Bool, protocol: Evidence | None = None) -> Evidence:
        note = context.protocol_note
        return Evidence(
            prepared.runtime.spec.name, scores[use], q.same[use], left[use], right[use], q.fold[use],
            prepared.faces.identified, protocol,
            basis="Rates use all pairs that were asked, accuracy those of its folds.",
            notes=(note,) if note else (),
        )  # fmt: skip

    inside = q.fold >= 0
    everything = np.ones(len(q), bool)
    evidence = part(everything, part(inside) if inside.any() and not inside.all() else None)
    return result_of(evidence, Options(), Extra(judged=(judged,), faces=len(np.unique([q.left, q.right]))))


def _judged(asked: _Asked, scores: F64, use: Bool, left: I64, right: I64) -> Judged:
    """Rates of the judged pairs bool[P] at the threshold of the others."""
    q, declared = asked.prepared.questions, asked.prepared.context.declared is not None
    impostor, one, other = _calibration(asked, q, scores)
    threshold = _threshold(impostor, declared)
    same = q.verification.same
    if not threshold.resolvable or not (use & same).any() or not (use & ~same).any():
        return Judged(threshold.fmr_target, "too few calibration or judged pairs")
    interval, why = interval_or_reason(lambda: clustered_rate(impostor >= threshold.value, one, other))
    return judged_rates(threshold, impostor, interval or why, scores[use], same[use], left[use], right[use])


class ScoredComparisons(Comparisons):
    """Robustness comparisons by scores of a black box instead of cosines of vectors."""

    def __init__(
        self, pairs: ProbePairs, clean: F64, threshold: float, level_all: float, level: float = 0.95
    ) -> None:
        self.pairs, self.threshold, self.level, self.level_all = pairs, threshold, level, level_all
        self.clean_errors, self.clean_matches = ~(clean >= threshold), clean >= threshold
        self.clean_fnmr = self._rate(self.clean_errors, pairs.same)
        self.clean_fmr = self._rate(self.clean_matches, ~pairs.same)

    def scored_cell(self, scores: F64) -> tuple[Cell, Bool, Bool]:
        """(cell, misses bool[P], no face found bool[P]) of corrupted scores f64[P]; NaN is no match."""
        match = scores >= self.threshold
        miss, genuine = ~match, self.pairs.same
        lost = np.bincount(self.pairs.row, np.isnan(scores), len(self.pairs.probes)) > 0
        people = np.zeros(len(lost), np.int64)
        people[self.pairs.row] = self.pairs.left
        cell = Cell(
            None, None, self._rate(miss, genuine), self._rate(match, ~genuine),
            self._difference(self.clean_errors, miss, genuine, self.level),
            self._difference(self.clean_matches, match, ~genuine, self.level_all),
            share(lost, people, people), len(lost), recognised=self._rate(miss, genuine & ~np.isnan(scores)),
        )  # fmt: skip
        return cell, miss, np.isnan(scores)


def _robustness(asked: _Asked, threshold: Threshold) -> AnalysisResult:
    from fraudit.analyses.robustness import NAME, TITLE, Grid, cells_level, person_errors, words
    from fraudit.analyses.robustness import Params as Options
    from fraudit.analyses.robustness import findings as told

    prepared, q = asked.prepared, asked.prepared.questions
    pairs, pictures = q.robustness, prepared.pictures
    if pairs is None:
        raise InsufficientData("no probe was chosen")
    clean = asked.clean(pairs.probes[pairs.row], pairs.enrolled)
    together = cells_level(len(q.corruptions) * len(q.severities))
    comparisons = ScoredComparisons(pairs, clean, threshold.value, together)
    cells, missed, lost = {}, {}, {}
    for corruption in q.corruptions:
        for severity in q.severities:
            asked_now = [
                (pictures.corrupted(int(pairs.probes[row]), corruption, severity), pictures.clean(int(e)))
                for row, e in zip(pairs.row, pairs.enrolled, strict=True)
            ]
            at = corruption.name, severity
            cells[at], missed[at], lost[at] = comparisons.scored_cell(asked.score(asked_now))
    errors = person_errors(comparisons, missed, lost, q.corruptions, q.severities)
    grid = Grid(q.corruptions, q.severities, cells, *errors)
    metrics = [
        replace(m, missing=f"similarity to the clean picture {REASON}") if ".similarity." in m.name else m
        for m in words.cell_metrics(grid, comparisons, False)
        + words.mean_metrics(grid)
    ]
    findings = told.findings(grid, comparisons, threshold.fmr_target)
    figures = [f for f in words.figures(grid, comparisons) if f.name != "robustness_similarity"]
    options = Options(
        severities=q.severities, where="picture" if prepared.runtime.spec.preprocess is None else "aligned"
    )
    params = {
        "probes": len(pairs.probes),
        "severities": q.severities,
        "corruptions": [c.name for c in q.corruptions],
    }
    place = (
        "the whole picture" if prepared.runtime.spec.preprocess is None else "the picture before alignment"
    )
    return AnalysisResult(
        NAME, TITLE, headline=told.headline(grid, comparisons, findings), findings=tuple(findings),
        metrics=tuple(metrics), tables=(words.table(grid),), figures=tuple(figures),
        caveats=told.caveats(grid, comparisons, threshold, True, replace(options, where="picture")),
        method=f"Corruptions act on {place}; every corrupted probe is compared with one mate and one stranger, clean. "
        f"Threshold {threshold.value:.4g}: {threshold.provenance}. A pair without a score does not match.",
        params=params, faces=len(pairs.probes) * len(cells),
    )  # fmt: skip


def _bias(asked: _Asked, threshold: Threshold) -> AnalysisResult:
    from fraudit.analyses.bias import Params as Options
    from fraudit.analyses.bias import view

    prepared = asked.prepared
    options = replace(Options(), fmr=threshold.fmr_target)
    audits: list[Any] = []
    skipped: list[str] = []
    for group in prepared.questions.groups:
        scores = asked.clean(group.left, group.right)
        try:
            audits.append(_audit(prepared, options, group, scores, threshold))
        except InsufficientData as error:
            skipped.append(error.message)
    result = view.result(prepared.context, options, threshold, audits, skipped)
    method = result.method.replace("over all pairs within a group", "over sampled pairs within a group")
    return replace(result, method=method, params={"by": [g.attribute for g in prepared.questions.groups]})


def _audit(prepared: Prepared, options: Any, group: GroupPairs, scores: F64, threshold: Threshold) -> Any:
    from fraudit.analyses.bias import Audit, raw_tests

    subjects = prepared.faces.subjects
    left, right = subjects[group.left], subjects[group.right]
    labels = [str(g) for g in np.unique(group.group)]
    people = {
        g: len(np.unique(np.concatenate([left[group.group == g], right[group.group == g]]))) for g in labels
    }
    names = tuple(g for g in labels if people[g] >= options.min_people)
    if len(names) < 2:
        raise InsufficientData(
            f"{group.attribute}: fewer than two groups have {options.min_people} judged people"
        )
    kept = np.isin(group.group, names)
    known = ~np.isnan(scores)
    matched = scores >= threshold.value
    impostor, genuine = kept & known & ~group.same, kept & group.same
    fmr = rates_by_group(matched[impostor], group.group[impostor], left[impostor], right[impostor])
    enough = [g for g in names if np.sum(genuine & (group.group == g)) >= options.min_genuine]
    own = genuine & np.isin(group.group, enough)
    fnmr = (
        rates_by_group(~matched[own], group.group[own], left[own], right[own]) if len(enough) >= 2 else None
    )
    both = own & known
    acquired = rates_by_group(~matched[both], group.group[both], left[both], right[both]) if fnmr else None
    sides = {"FMR": fmr} | ({"FNMR": fnmr} if fnmr else {})
    ratios = {s: worst_over_best(r) for s, r in sides.items() if len(r) >= 2 and any(one.errors for one in r)}
    shared = fnmr if fnmr and [g.group for g in fnmr] == [g.group for g in fmr] else None
    counts = {
        g: len(np.unique(np.concatenate([group.left[group.group == g], group.right[group.group == g]])))
        for g in names
    }
    return Audit(
        attribute=group.attribute, groups=names, faces=counts, people=people, fmr=fmr, fnmr=fnmr,
        fnmr_acquired=acquired,
        fnmr_missing="" if fnmr else f"fewer than two groups have {options.min_genuine} judged genuine pairs",
        cross=cross_group_fmr(
            matched[impostor], group.group[impostor], group.group[impostor], left[impostor], right[impostor]
        ),
        thresholds=(), fta=_lost(group, scores, subjects, names),
        small=tuple((g, people[g]) for g in labels if g not in names),
        summaries=summary_intervals(fmr, shared, options.alpha, prepared.context.rng(f"bias-{group.attribute}")),
        ratios=ratios, tests=raw_tests(sides), rebuilt=(),
    )  # fmt: skip


def _lost(group: GroupPairs, scores: F64, subjects: I64, names: tuple[str, ...]) -> tuple[Any, ...]:
    """Share of each group's faces none of whose pairs has a score."""
    from fraudit.analyses.bias import lost_share

    found = []
    for name in names:
        part = group.group == name
        faces, codes = np.unique(np.concatenate([group.left[part], group.right[part]]), return_inverse=True)
        known = np.tile(~np.isnan(scores[part]), 2)
        found.append(lost_share(name, np.bincount(codes.ravel(), known, len(faces)) == 0, subjects[faces]))
    return tuple(found)


def _write_scores(prepared: Prepared, scores: F64, run_dir: Path) -> None:
    q, faces = prepared.questions.verification, prepared.faces
    ids = np.array(faces.ids, dtype=np.str_)
    left, right = (
        faces.subjects[side].astype(str) if faces.identified else None for side in (q.left, q.right)
    )
    found = ScoreSet(
        ids[q.left], ids[q.right], q.same, scores, left, right, q.fold, f"the pairs of '{faces.name}'",
        "pairs-csv",
    )  # fmt: skip
    write_scores(found, run_dir / "scores.csv", "pairs-csv")


def _inputs(prepared: Prepared) -> dict[str, Any]:
    faces, spec, locate = prepared.faces, prepared.runtime.spec, prepared.locate
    declared = (
        "none: the set declares its landmarks" if faces.landmarks is not None else "none: whole pictures"
    )
    return {
        "dataset": {
            "name": faces.name, "digest": faces.digest, "n_faces": len(faces),
            "n_subjects": len(np.unique(faces.subjects)) if faces.identified else None, "identified": faces.identified,
            "synthetic": faces.synthetic, "licence": faces.licence, "attributes": sorted(faces.attributes),
            "protocol_pairs": len(faces.pairs) if faces.pairs is not None else None,
            "left_out": dict(faces.left_out), "notes": list(faces.notes),
            "detector": locate.detector.fingerprint if locate else declared,
            "several_faces_policy": prepared.plan.several_faces,
        },
        "embedder": {
            "name": spec.name, "kind": "scorer: answers scores, never vectors",
            "input": "aligned faces" if spec.preprocess else "whole pictures",
            "fingerprint": prepared.runtime.fingerprint, "weights_sha256": prepared.runtime.loaded.sha256,
            "preprocess": spec.preprocess.as_dict() if spec.preprocess else None, "licence": spec.licence,
            "source": spec.source, "queries": prepared.runtime.queries,
            "cost": f"{prepared.runtime.queries * spec.cost_per_query:.2f} {spec.currency}".strip(),
        },
        "judges": [],
        "inverter": {"missing": REASON},
    }  # fmt: skip
