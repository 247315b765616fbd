"""The verification section: findings, headline and caveats; rules of severity in docs/severity.md."""

from __future__ import annotations

from collections.abc import Sequence

from fraudit.analyses.verification.figures import figures
from fraudit.analyses.verification.judged import Judged, unresolved
from fraudit.analyses.verification.measure import Evidence, Extra, Points, tar
from fraudit.analyses.verification.metrics import curve_metrics, fold_metrics, missing_metrics, point_metrics
from fraudit.analyses.verification.params import Params
from fraudit.analyses.verification.tables import protocol_table, tables
from fraudit.errors import InsufficientData
from fraudit.formatting import fmr_words, number, one_in, percent
from fraudit.formatting import interval as interval_words
from fraudit.stats.folds import FoldAccuracy, fold_accuracy
from fraudit.stats.intervals import PairClusters
from fraudit.stats.operating import ScoredPairs
from fraudit.types import AnalysisResult, Figure, Finding, Metric, Severity, Table

# FNMR at the threshold for the smallest resolvable FMR, and shares of faces without a vector.
FNMR_HIGH, FNMR_MEDIUM, FNMR_LOW = 0.10, 0.02, 0.005
FMR_HIGH, FMR_MEDIUM = 3.0, 1.5
FTA_HIGH, FTA_MEDIUM = 0.05, 0.01
CHANCE = 0.6  # an AUC whose upper bound lies below tells nobody apart
LEAST_GENUINE = 30  # genuine pairs below which no rate makes the headline
DISTANCES = (
    "Where small means alike, say so: `fraudit scores --distance`, or `distance = true` in a scorer's card."
)


def result_of(evidence: Evidence, params: Params, extra: Extra | None = None) -> AnalysisResult:
    """The section on scored pairs, with what a model adds where there is one.

    Raises:
        InsufficientData: no genuine or no impostor pair has a score.
    """
    given = extra or Extra()
    pairs = ScoredPairs(evidence.scores, evidence.same, evidence.left, evidence.right)
    folded = evidence.protocol or evidence
    folds: tuple[FoldAccuracy, ...] = ()
    folds_missing = "" if folded.fold is not None else "the scores come without folds"
    if folded.fold is not None:
        try:
            exact = fold_accuracy(folded.scores, folded.same, folded.fold)
            folds = (exact, *given.folds)
        except InsufficientData as error:
            folds_missing = error.message
    points = [tar(pairs, far) for far in params.fars]
    accuracy = fold_metrics(folds, PairClusters(folded.left, folded.right), folds_missing)
    metrics = [
        *accuracy,
        *curve_metrics(pairs),
        *point_metrics(points),
        *[m for judged in given.judged for m in judged.metrics()],
        *given.metrics,
        *missing_metrics(folded),
    ]
    drawn = figures(evidence, pairs, folds, given.judged, params)
    shown = tables(points, folds, given.judged)
    if evidence.declared and evidence.protocol is not None:
        shown.insert(1, _protocol_table(evidence.protocol, accuracy[0], params))
    found = findings(metrics, points, folds, given, pairs, folded)
    return AnalysisResult(
        name="verification",
        title="Verification",
        headline=headline(metrics),
        answer=answer(metrics, found),
        findings=tuple(found),
        metrics=tuple(metrics),
        tables=tuple(shown),
        figures=tuple(drawn),
        caveats=tuple(caveats(evidence, points, drawn)),
        method=method(evidence, folds, given.judged),
        faces=given.faces,
    )


def _protocol_table(protocol: Evidence, accuracy: Metric, params: Params) -> Table:
    """The same figures on the pairs that the set declares alone."""
    pairs = ScoredPairs(protocol.scores, protocol.same, protocol.left, protocol.right)
    found = [accuracy, *curve_metrics(pairs), *point_metrics([tar(pairs, far) for far in params.fars])]
    return protocol_table([m for m in found if m.value is not None], len(protocol.scores))


def with_interval(metric: Metric, how: str = "") -> str:
    """`2.1 % (95 % interval 1.4 to 3.0 %; 1,204 genuine pairs)`."""
    found = metric.interval
    bounds = interval_words(found.low, found.high, as_percent=True) if found else ""
    inside = [f"95 % interval{how} {bounds}"] if found else []
    inside += [f"{metric.n:,} {metric.n_unit}"] if metric.n is not None else []
    inside += [] if found or not metric.interval_missing else ["no interval"]
    return f"{percent(metric.value)} ({'; '.join(inside)})"


def headline(metrics: Sequence[Metric]) -> str:
    """One sentence: accuracy (or AUC) and FNMR at the smallest FMR that could be resolved; or too few people."""
    by_name = {m.name: m for m in metrics}
    accuracy, auc = by_name["verification.accuracy"], by_name["verification.auc"]
    genuine = by_name["verification.unscored.genuine"].n or 0
    if genuine < LEAST_GENUINE:
        return f"Too few pairs to say how well people are told apart: {genuine} genuine ones."
    if auc.interval is None:
        return f"Too few people to say how well they are told apart: {auc.interval_missing}."
    first = (
        f"{percent(accuracy.value)} of pairs are decided right"
        if accuracy.value is not None
        else f"A genuine pair scores above an impostor pair in {percent(auc.value)} of cases"
    )
    judged, tars = (
        [m for m in metrics if m.name.startswith(start) and m.value is not None and m.interval is not None]
        for start in ("verification.fnmr@", "verification.tar@")
    )
    if judged and (judged[-1].n or 0) >= LEAST_GENUINE:
        return f"{first}; FNMR is {percent(judged[-1].value)} at FMR {judged[-1].name.split('=')[1]}."
    if tars:
        return f"{first}; TAR is {percent(tars[-1].value)} at FAR {tars[-1].name.split('=')[1]}."
    return f"{first}."


def answer(metrics: Sequence[Metric], told: Sequence[Finding]) -> str:
    """The section in plain words: who is turned away at the smallest FMR that could be judged."""
    wrong = next((f for f in told if f.rule in ("verification.reversed", "verification.chance")), None)
    if wrong is not None:
        return "No: its scores do not tell people apart as they stand."
    judged = [m for m in metrics if m.name.startswith("verification.fnmr_target@") and m.interval]
    if not judged or (judged[-1].n or 0) < LEAST_GENUINE:
        return "Not known: too few pairs to say how often the right person is turned away."
    m = min(judged, key=lambda m: float(m.name.split("=")[1]))
    assert m.interval is not None
    bounds = interval_words(m.interval.low, m.interval.high, as_percent=True)
    return (
        f"Where {one_in(float(m.name.split('=')[1]))} strangers may pass, the right person is turned away in "
        f"{percent(m.value)} of tries (between {bounds.replace(' to ', ' and ')})."
    )


def findings(
    metrics: Sequence[Metric],
    points: Points,
    folds: Sequence[FoldAccuracy],
    extra: Extra,
    pairs: ScoredPairs,
    folded: Evidence,
) -> list[Finding]:
    """Sentences with their severity by rule."""
    by_name = {m.name: m for m in metrics}
    found = [
        f
        for f in (
            _chance(by_name["verification.auc"], pairs),
            _fnmr(by_name, extra.judged),
            _fta(by_name, extra),
        )
        if f
    ]
    found += [f for judged in extra.judged if (f := _transfer(by_name, judged))]
    found += _accuracy(by_name, folds, float(folded.same.mean()))
    shortest = next((point for point, _, _ in points if not point.resolvable), None)
    if shortest is not None:
        found.append(
            Finding(
                "info",
                unresolved(shortest.far, shortest.n_impostor, "impostor pairs") + ".",
                (f"verification.tar@far={fmr_words(shortest.far)}",),
                "verification.unresolved",
            )
        )
    return found


def _chance(auc: Metric, pairs: ScoredPairs) -> Finding | None:
    """Chance or a reversed sign need evidence for them; where there is too little either way, that is said."""
    bounds, genuine = auc.interval, int(pairs.same.sum())
    text = f"AUC {number(auc.value, 3)} (" + (
        f"95 % interval {interval_words(bounds.low, bounds.high)}; " if bounds else ""
    )
    text += f"{auc.n:,} pairs, {genuine:,} of them genuine), chance is 0.5"
    text += f"; {auc.interval_missing}" if auc.interval_missing else ""
    if bounds is not None and bounds.low > 0.5:
        return None
    if bounds is not None and bounds.high < 0.5:
        return Finding(
            "high",
            f"These look like distances: genuine pairs score lower than impostor pairs, {text}. {DISTANCES}",
            (auc.name,),
            "verification.reversed",
            "Say that small means alike, as named above, and run again: no figure of the scores counts before.",
        )
    if bounds is not None and bounds.high < CHANCE:
        return Finding(
            "high",
            f"The scores do not tell people apart: {text}.",
            (auc.name,),
            "verification.chance",
            "Look for wrong wiring first: `fraudit doctor` tries channels, scale, crop and output.",
        )
    few = f"Too few people or pairs to say whether the scores tell people apart: {text}"
    if auc.value is not None and auc.value < 1 - CHANCE:
        few += f". They may be distances: {DISTANCES[0].lower()}{DISTANCES[1:]}"
    return Finding("info", few.rstrip(".") + ".", (auc.name,), "verification.few")


def _fnmr(by_name: dict[str, Metric], judged: Sequence[Judged]) -> Finding | None:
    usable = [
        j
        for j in judged
        if (m := by_name[f"verification.fnmr_target@fmr={fmr_words(j.target)}"]).value is not None
        and m.interval
    ]
    if not usable:
        return None
    at = min(usable, key=lambda j: j.target)
    metric = by_name[f"verification.fnmr_target@fmr={fmr_words(at.target)}"]
    bounds = metric.interval
    if bounds is None or at.threshold is None:
        return None
    severity: Severity = "info"
    floors: tuple[tuple[Severity, float], ...] = (
        ("high", FNMR_HIGH),
        ("medium", FNMR_MEDIUM),
        ("low", FNMR_LOW),
    )
    for level, floor in floors:
        if bounds.low >= floor:
            severity = level
            break
    else:
        severity = "good" if bounds.high <= FNMR_MEDIUM else "info"
    return Finding(
        severity,
        f"At the threshold for FMR {fmr_words(at.target)} ({number(at.threshold.value, 3)}, chosen on other people), "
        f"FNMR is {with_interval(metric, ', the choice included,')}.",
        (f"verification.fnmr@fmr={fmr_words(at.target)}", metric.name),
        "verification.fnmr",
        _looser(usable, at) if severity in ("high", "medium", "low") else "",
    )


def _looser(usable: Sequence[Judged], at: Judged) -> str:
    """What a looser threshold would change, where one was judged; what to do where it is no choice."""
    other = min((j for j in usable if j.target > at.target), key=lambda j: j.target, default=None)
    else_ = "better pictures, more enrolled pictures a person or another model are needed; no threshold gives both."
    if other is None or other.threshold is None or other.with_threshold is None or at.with_threshold is None:
        return f"If so many may not be turned away, {else_}"
    if other.with_threshold.value >= at.with_threshold.value:
        return f"A looser threshold was judged and does not help: {else_}"
    return (
        f"If {one_in(other.target)} strangers may pass, lower the threshold to {number(other.threshold.value, 3)}: "
        f"FNMR is then {percent(other.with_threshold.value)}. If not, {else_}"
    )


def _transfer(by_name: dict[str, Metric], judged: Judged) -> Finding | None:
    metric = by_name[f"verification.fmr_target@fmr={fmr_words(judged.target)}"]
    if metric.value is None or metric.interval is None or metric.interval.low < FMR_MEDIUM * judged.target:
        return None
    severity: Severity = "high" if metric.interval.low >= FMR_HIGH * judged.target else "medium"
    return Finding(
        severity,
        f"The threshold for FMR {fmr_words(judged.target)} does not hold for other people of the same set: it gives "
        f"{with_interval(metric)}.",
        (metric.name,),
        "verification.fmr_transfer",
        f"Raise the threshold: `fraudit threshold --fmr {fmr_words(judged.target)}` chooses one whose FMR holds on "
        "people not used, and says what it costs.",
    )


def _fta(by_name: dict[str, Metric], extra: Extra) -> Finding | None:
    metric = by_name.get("verification.fta")
    if metric is None:
        return _unscored(by_name)
    if not metric.value:
        return None
    low = metric.interval.low if metric.interval else 0.0
    severity: Severity = "high" if low >= FTA_HIGH else "medium" if low >= FTA_MEDIUM else "info"
    why = f"; most often: {extra.reasons[0][0]}" if extra.reasons else ""
    return Finding(
        severity,
        f"No vector for {with_interval(metric)}{why}. Such a face raises FNMR and never FMR.",
        (metric.name,),
        "verification.fta",
        "Look at these pictures: their count by reason is under Provenance. Mend or leave them out, or ask for a new "
        "picture where no face is found.",
    )


def _unscored(by_name: dict[str, Metric]) -> Finding | None:
    """Of scores alone: which of two faces was not found is not known."""
    both = [by_name.get(f"verification.unscored.{kind}") for kind in ("genuine", "impostor")]
    lost = [metric for metric in both if metric is not None and metric.value]
    if not lost:
        return None
    return Finding(
        "info",
        f"No score for {' and '.join(map(with_interval, lost))}, as where no face is found. Such a pair is no match.",
        tuple(metric.name for metric in lost),
        "verification.unscored",
    )


def _accuracy(by_name: dict[str, Metric], folds: Sequence[FoldAccuracy], genuine: float) -> list[Finding]:
    if not folds:
        return []
    metric = by_name["verification.accuracy"]
    spread = by_name["verification.accuracy_std"].value
    constant = max(genuine, 1 - genuine)
    others = "".join(f"; {percent(one.mean, 2)} by the protocol of {one.mode}" for one in folds[1:])
    return [
        Finding(
            "info",
            f"Accuracy over {len(folds[0].accuracy)} folds is {with_interval(metric)}, standard deviation "
            f"{percent(spread)}{others}. One constant answer would be right in {percent(constant)}.",
            (metric.name, "verification.accuracy_std"),
            "verification.accuracy",
        )
    ]


def caveats(evidence: Evidence, points: Points, drawn: Sequence[Figure]) -> list[str]:
    """What a reader must know before trusting the figures."""
    found = list(evidence.notes)
    if not evidence.people_known and not evidence.pictures_named:
        found.append(
            "Neither people nor pictures are named: a pair without names was taken to share nobody with any other. "
            "Pairs may share people, so the truth is at least this uncertain."
        )
    elif not evidence.people_known:
        found.append(
            "Nobody is named: pictures linked by genuine pairs were taken as one person. One person may still be in "
            "several such groups, and on both sides of a threshold, so the truth is at least this uncertain."
        )
    if not any(f.name == "verification_det" for f in drawn):
        found.append("No DET curve: at no threshold do false matches and false non-matches both occur.")
    weak = [fmr_words(p.far) for p, _, _ in points if p.resolution == "rule of three"]
    if weak:
        n = points[0][0].n_impostor
        found.append(
            f"FAR {', '.join(weak)}: {n:,} impostor pairs satisfy the rule of three (3 expected false matches), "
            "not the rule of thirty; read them with their intervals."
        )
    found.append(
        "TAR@FAR and EER read their threshold off the pairs they judge, as the field defines them; FNMR at an FMR "
        "uses a threshold chosen on other people."
    )
    return found


def method(evidence: Evidence, folds: Sequence[FoldAccuracy], judged: Sequence[Judged]) -> str:
    """How it was measured."""
    parts = ["A pair matches when its score is at or above the threshold."]
    parts += [evidence.basis] if evidence.basis else []
    parts += [f"Folds ({one.mode}): {one.provenance}." for one in folds]
    parts += [
        f"Threshold for FMR {fmr_words(j.target)}: {j.provenance}." for j in judged if j.threshold is not None
    ]
    parts.append(
        "A face without a vector counts as a rejected genuine pair and never as a match; EER, AUC, d' and the "
        "histogram leave its pairs out."
    )
    if judged:
        parts.append(
            "FNMR of a threshold's choice takes in what the threshold would be on other calibration people (MOVER). "
            "FNMR a person is the mean over people of each one's FNMR."
        )
    parts.append(
        "Intervals: 95 %, from the variance of pairs that share a person (Fogliato et al., arXiv 2306.01198), "
        "corrected for few people; none where too few people carry the pairs."
    )
    return " ".join(parts)
