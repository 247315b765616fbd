"""Probes every target: scores of people the probe has not seen, control tasks, tests and within-person shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.analyses.leakage.mlp import mlp_folds
from fraudit.analyses.leakage.params import Params
from fraudit.analyses.leakage.targets import MIN_FACES, MIN_PEOPLE, Target
from fraudit.errors import InsufficientData
from fraudit.stats.fairness import holm
from fraudit.stats.jackknife import Jackknifed
from fraudit.stats.probes import (
    Chance,
    Judge,
    RidgeFolds,
    control_labels,
    fold_parts,
    identity_folds,
    mean_auc,
    person_weights,
    weighted_r2,
    within_person_share,
)
from fraudit.stats.score_test import ScoreTest, sign_flips
from fraudit.types import F32, I64

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext

CONTROLS = 12  # control tasks of a target
MLP_FOLDS = 5  # at most: ten networks more are trained for the interval
NO_IDENTITIES = "the set names no identities"


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found for one target. Scores of classes: AUC; of numbers: R2.

    Attributes:
        score: of the linear probe; control: the same for the control task; balanced: balanced accuracy.
        selectivity: score less control, AUC as 2 AUC - 1 so that both kinds run from 0 (chance) to 1; a control
            below chance counts as chance, for a probe does not leak more because another overfits.
        p: of the sign-flip test; p_holm: corrected for the number of targets.
        mlp: score of the nonlinear probe or None. share: of variance within people, or None and `no_share`.
    """

    target: Target
    n: int
    people: int
    score: Jackknifed
    control: Chance
    selectivity: Jackknifed
    balanced: Jackknifed | None
    p: float
    p_holm: float
    share: Jackknifed | None
    no_share: str
    mlp: Jackknifed | None = None


def above_chance(probe: Probe, score: Jackknifed) -> Jackknifed:
    """The score from 0 (chance) to 1: R2, or 2 AUC - 1."""
    return score.scaled(2, -1) if probe.target.classes else score


def control_above_chance(probe: Probe) -> float:
    """The control task's score from 0 (chance) to 1."""
    return 2 * probe.control.value - 1 if probe.target.classes else probe.control.value


def choose_rows(context: AnalysisContext, limit: int) -> I64:
    """Faces with a vector and landmarks: whole people in random order until `limit` is reached."""
    usable = np.flatnonzero(context.embeddings().ok & np.isfinite(context.landmarks()[0]).all(axis=(1, 2)))
    if len(usable) <= limit:
        return usable
    subjects = context.faces.subjects[usable]
    people, codes, counts = np.unique(subjects, return_inverse=True, return_counts=True)
    order = context.rng("leakage-faces").permutation(len(people))
    chosen = order[np.cumsum(counts[order]) <= limit]
    return usable[np.isin(codes.ravel(), chosen)]


def usable_rows(target: Target, subjects: I64) -> np.ndarray:
    """bool[N] faces of known label, of classes that are large enough.

    Raises:
        InsufficientData: too few of them, with the figures.
    """
    known = np.isfinite(target.numbers)
    for code, name in enumerate(target.classes):
        part = known & (target.numbers == code)
        if part.sum() < MIN_FACES // 5 or len(np.unique(subjects[part])) < MIN_PEOPLE // 2:
            if target.binary:
                raise InsufficientData(
                    f"{target.words}: {part.sum()} faces of {len(np.unique(subjects[part]))} people have the "
                    f"value {name}; at least {MIN_FACES // 5} and {MIN_PEOPLE // 2} are needed"
                )
            known &= ~part
    people = len(np.unique(subjects[known]))
    if known.sum() < MIN_FACES or people < MIN_PEOPLE:
        raise InsufficientData(
            f"{target.words}: known for {known.sum()} faces of {people} people; at least {MIN_FACES} and "
            f"{MIN_PEOPLE} are needed"
        )
    values = target.numbers[known]
    if np.ptp(values) <= 1e-6 * max(float(np.abs(values).max()), 1e-12):
        raise InsufficientData(f"{target.words}: it does not vary")
    return known


class ProbeBench:
    """The faces a probe works on, prepared once for all targets that are known for the same faces."""

    def __init__(
        self, context: AnalysisContext, params: Params, vectors: F32, subjects: I64, probes: int
    ) -> None:
        self.vectors, self.subjects = vectors, subjects
        self.fold = identity_folds(subjects, params.folds, context.seed)
        self.weights = person_weights(subjects)
        parts = fold_parts(subjects, params.folds, context.seed)
        self.judge = Judge(self.fold, parts, self.weights)
        self.ridge = RidgeFolds(vectors, self.fold, self.weights)
        self.test = ScoreTest(vectors, subjects)
        self.people = len(np.unique(subjects))
        # Holm's first step needs p <= level / probes, and 1 / (flips + 1) is the least p there is.
        flips = max(params.flips, int(np.ceil(3 * probes / params.level)))
        self.flips = sign_flips(self.people, flips, context.rng("leakage-flips"))
        self.rng = context.rng("leakage-control")
        self.identified = context.faces.identified
        self.controls = CONTROLS


def _number_scores(bench: ProbeBench, values: np.ndarray, control: np.ndarray) -> tuple[Jackknifed, Chance]:
    """(R2, R2 of the control tasks)."""
    table = np.column_stack([values, control])
    read = bench.ridge.predict(table)
    parts = {
        k: np.column_stack([a.predicted[:, 0], np.full(len(a.predicted), a.base[0])]) for k, a in read.items()
    }
    score = bench.judge.r2(values, parts)
    answers = bench.judge.gather({key: a.predicted for key, a in read.items()})
    bases = bench.judge.gather({key: np.broadcast_to(a.base, a.predicted.shape) for key, a in read.items()})
    drawn = [
        weighted_r2(table[:, t], answers[:, t], bases[:, t], bench.weights) for t in range(1, table.shape[1])
    ]
    chance = Chance.of(drawn)
    # A probe that answers the mean of its training faces has an R2 of 0 without each group too: what it may
    # have been by chance is what the control tasks show, in parts of what is left to read.
    return score.with_error(chance.spread * (1 - max(score.value, 0.0))), chance


def _class_scores(
    bench: ProbeBench, target: Target, values: np.ndarray, control: np.ndarray
) -> tuple[Jackknifed, Chance, Jackknifed, np.ndarray]:
    """(AUC, AUC of the control tasks, balanced accuracy, f64[N,C] of 0/1)."""
    names, labels = np.unique(values, return_inverse=True)
    count = len(names)
    drawn = [labels.ravel(), *np.searchsorted(names, control).T]
    drawn = drawn[:1] + [c for c in drawn[1:] if len(np.unique(c)) == count]
    if len(drawn) < 3:
        raise InsufficientData(f"{target.words}: no control tasks with all classes could be drawn")
    table = np.concatenate([np.eye(count)[c] for c in drawn], axis=1)
    read = bench.ridge.predict(table)
    # A fold's mean answer is that of the other folds, which is low where the fold's own is high: left out.
    found = {key: a.predicted - a.base for key, a in read.items()}
    score = bench.judge.auc(drawn[0], {key: part[:, :count] for key, part in found.items()})
    answers = bench.judge.gather(found)
    chance = Chance.of(
        [
            mean_auc(column, answers[:, t * count : (t + 1) * count], bench.weights)
            for t, column in enumerate(drawn)
            if t
        ]
    )
    decided = {key: a.predicted[:, :count] - a.middle[:count] for key, a in read.items()}
    balanced = bench.judge.balanced_accuracy(drawn[0], decided)
    return score, chance, balanced, table[:, 1 if count == 2 else 0 : count]


def probe(bench: ProbeBench, target: Target, values: np.ndarray) -> Probe:
    """Linear probe, control task, sign-flip test and within-person share of one target, f64[N] values."""
    control = control_labels(values, bench.subjects, bench.controls, bench.rng)
    balanced = None
    if target.classes:
        score, chance, balanced, columns = _class_scores(bench, target, values, control)
        unit, floor, twice = score.scaled(2, -1), 2 * chance.value - 1, 2.0
    else:
        score, chance = _number_scores(bench, values, control)
        unit, floor, twice = score, chance.value, 1.0
        columns = ((values - values.mean()) / values.std())[:, None]
    selectivity = unit.minus(max(floor, 0.0), twice * chance.error if floor > 0 else 0.0)
    p = bench.test.p_value(columns, bench.flips)
    share, reason = None, NO_IDENTITIES
    if bench.identified:
        try:
            if target.classes and not target.binary:
                raise InsufficientData("given for numbers and for two classes only")
            share = within_person_share(bench.vectors, values, bench.subjects, bench.fold)
            reason = ""
        except InsufficientData as error:
            reason = error.message
    return Probe(target, len(values), bench.people, score, chance, selectivity, balanced, p, p, share, reason)


def probe_targets(
    context: AnalysisContext, params: Params, targets: Sequence[Target], rows: I64
) -> tuple[list[Probe], list[str], tuple[float, float] | None]:
    """(probes in the order of the targets, reasons of those left out, MLP's (R2, AUC) on control tasks)."""
    vectors, subjects = context.embeddings().vectors[rows], context.faces.subjects[rows]
    left_out: list[str] = []
    todo: list[tuple[Target, np.ndarray, np.ndarray]] = []
    for target in targets:
        own = replace(target, numbers=target.numbers[rows])
        try:
            todo.append((target, usable_rows(own, subjects), own.numbers))
        except InsufficientData as error:
            left_out.append(error.message)
    benches: dict[bytes, ProbeBench] = {}
    found: list[Probe] = []
    judged: list[tuple[Target, np.ndarray, np.ndarray]] = []
    for target, known, values in todo:
        context.progress(f"leakage: {target.words.lower()}")
        key = np.packbits(known).tobytes()
        if key not in benches:
            benches[key] = ProbeBench(context, params, vectors[known], subjects[known], len(todo))
        try:
            found.append(probe(benches[key], target, values[known]))
        except InsufficientData as error:
            left_out.append(error.message)
            continue
        judged.append((target, known, values))
    if found:
        adjusted = holm([p.p for p in found])
        found = [replace(p, p_holm=float(q)) for p, q in zip(found, adjusted, strict=True)]
    control = None
    if params.mlp and found:
        found, control = _with_mlp(context, params, found, judged, vectors, subjects)
    return found, left_out, control


def _with_mlp(
    context: AnalysisContext,
    params: Params,
    found: list[Probe],
    todo: Sequence[Any],
    vectors: F32,
    subjects: I64,
) -> tuple[list[Probe], tuple[float, float]]:
    """Adds the nonlinear probe's scores; also its scores on one control task of each kind."""
    context.progress("leakage: nonlinear probes")
    rng = context.rng("leakage-mlp")
    columns, classes = [], []
    for target, known, values in todo:
        own = np.where(known, values, np.nan)
        if target.classes:
            names = np.unique(values[known])
            own = np.where(known, np.searchsorted(names, np.nan_to_num(values)), np.nan)
            classes.append(len(names))
        else:
            classes.append(0)
        columns.append(own)
    codes = np.unique(subjects, return_inverse=True)[1].ravel()
    columns += [rng.standard_normal(codes.max() + 1)[codes], rng.integers(0, 2, codes.max() + 1)[codes]]
    classes += [0, 2]
    table = np.column_stack(columns).astype(np.float64)
    fold, parts = (of(subjects, MLP_FOLDS, context.seed) for of in (identity_folds, fold_parts))
    weights = person_weights(subjects)
    answers, bases = mlp_folds(vectors, table, classes, subjects, fold, weights, context.seed)
    scores: list[Jackknifed] = []
    everyone = np.ones(len(subjects), bool)
    for t, count in enumerate(classes):
        known = todo[t][1] if t < len(todo) else everyone
        judge = Judge(fold[known], parts[known], weights[known], steady=False)
        mine = {key: a[t][known[fold == key[0]]] for key, a in answers.items()}
        if count:
            scores.append(judge.auc(table[known, t].astype(np.int64), mine))
            continue
        mine = {key: np.column_stack([a[:, 0], np.full(len(a), bases[key][t])]) for key, a in mine.items()}
        scores.append(judge.r2(table[known, t], mine))
    probes = [replace(p, mlp=s) for p, s in zip(found, scores, strict=False)]
    return probes, (scores[-2].value, scores[-1].value)
