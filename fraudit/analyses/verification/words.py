"""Verification in words, tables and figures; rules of severity in docs/severity.md."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fraudit.formatting import interval as interval_words
from fraudit.formatting import number, percent
from fraudit.stats import verification as v
from fraudit.stats.folds import FoldAccuracy
from fraudit.stats.operating import ScoredPairs
from fraudit.stats.pairs import MAX_IMPOSTOR
from fraudit.types import Column, Figure, Finding, Interval, Metric, Severity, Table

if TYPE_CHECKING:
    from fraudit.analyses.verification.parts import Evidence, Extra, Judged

Points = Sequence[tuple[v.OperatingPoint, Interval | None, str]]

# FNMR at the threshold for the smallest resolvable FMR, and shares of faces without a vector.
FNMR_HIGH, FNMR_MEDIUM, FNMR_LOW = 0.10, 0.02, 0.005
FMR_HIGH, FMR_MEDIUM = 3.0, 1.5
FTA_HIGH, FTA_MEDIUM = 0.05, 0.01
CHANCE = 0.6  # an AUC whose upper bound lies below tells nobody apart
LEAST_GENUINE = 30  # genuine pairs below which no rate makes the headline
DISTANCES = (
    "Where small means alike, say so: `fraudit scores --distance`, or `distance = true` in a scorer's card."
)


def rate(value: float) -> str:
    """`1e-3` for 0.001, as metric names spell rates."""
    mantissa, exponent = f"{value:.6e}".split("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def unresolved(target: float, n: int, unit: str) -> str:
    """Why a rate has no figure."""
    have = f"{n:,} of them are listed" if n == MAX_IMPOSTOR else f"there are {n:,}"
    return f"Not resolvable: FMR {rate(target)} would need {round(3 / target):,} {unit}; {have}"


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


def findings(
    metrics: Sequence[Metric], points: Points, folds: Sequence[FoldAccuracy], extra: Extra, pairs: ScoredPairs,
    folded: Evidence,
) -> list[Finding]:  # fmt: skip
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
                (f"verification.tar@far={rate(shortest.far)}",),
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
            "high", f"These look like distances: genuine pairs score lower than impostor pairs, {text}. {DISTANCES}",
            (auc.name,), "verification.reversed",
        )  # fmt: skip
    if bounds is not None and bounds.high < CHANCE:
        return Finding(
            "high", f"The scores do not tell people apart: {text}.", (auc.name,), "verification.chance"
        )
    few = f"Too few people or pairs to say whether the scores tell people apart: {text}"
    if auc.value is not None and auc.value < 1 - CHANCE:
        few += f". They may be distances: {DISTANCES[0].lower()}{DISTANCES[1:]}"
    return Finding("info", few.rstrip(".") + ".", (auc.name,), "verification.few")


def _fnmr(by_name: dict[str, Metric], judged: Sequence[Judged]) -> Finding | None:
    usable = [
        j
        for j in judged
        if (m := by_name[f"verification.fnmr_target@fmr={rate(j.target)}"]).value is not None and m.interval
    ]
    if not usable:
        return None
    at = min(usable, key=lambda j: j.target)
    metric = by_name[f"verification.fnmr_target@fmr={rate(at.target)}"]
    bounds = metric.interval
    if bounds is None or at.threshold is None:
        return None
    severity: Severity = "info"
    for level, floor in (("high", FNMR_HIGH), ("medium", FNMR_MEDIUM), ("low", FNMR_LOW)):
        if bounds.low >= floor:
            severity = level  # type: ignore[assignment]
            break
    else:
        severity = "good" if bounds.high <= FNMR_MEDIUM else "info"
    return Finding(
        severity,
        f"At the threshold for FMR {rate(at.target)} ({number(at.threshold.value, 3)}, chosen on other people), FNMR "
        f"is {with_interval(metric, ', the choice included,')}.",
        (f"verification.fnmr@fmr={rate(at.target)}", metric.name),
        "verification.fnmr",
    )


def _transfer(by_name: dict[str, Metric], judged: Judged) -> Finding | None:
    metric = by_name[f"verification.fmr_target@fmr={rate(judged.target)}"]
    if metric.value is None or metric.interval is None or metric.interval.low < FMR_MEDIUM * judged.target:
        return None
    severity: Severity = "high" if metric.interval.low >= FMR_HIGH * judged.target else "medium"
    return Finding(
        severity,
        f"The threshold for FMR {rate(judged.target)} does not hold for other people of the same set: it gives "
        f"{with_interval(metric)}.",
        (metric.name,),
        "verification.fmr_transfer",
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
    if not evidence.people_known:
        found.append(
            "Nobody is named: pictures linked by genuine pairs were taken as one person. One person may still be in "
            "several such groups, and on both sides of a threshold, so the truth is at least this uncertain."
        )
    if not any(f.name == "verification_det" for f in drawn):
        found.append("No DET curve: at no threshold do false matches and false non-matches both occur.")
    weak = [rate(p.far) for p, _, _ in points if p.resolution == "rule of three"]
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
        f"Threshold for FMR {rate(j.target)}: {j.provenance}." for j in judged if j.threshold is not None
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


def protocol_table(metrics: Sequence[Metric], n: int) -> Table:
    """Figures of the pairs that the set declares, for comparison with what others publish."""
    return Table(
        "verification_protocol",
        f"On the {n:,} pairs that the set declares",
        (
            Column("figure", "Figure"),
            Column("value", "Value", "number", 5),
            Column("interval", "95 %", "interval"),
            Column("n", "n", "integer"),
            Column("unit", "of"),
        ),
        tuple(
            {
                "figure": m.label, "value": m.value, "interval": _pair(m.interval), "n": m.n, "unit": m.n_unit,
            }
            for m in metrics
        ),
        "The other tables and figures use all pairs of the set, except accuracy, which is this protocol's.",
    )  # fmt: skip


def _pair(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]


def tables(points: Points, folds: Sequence[FoldAccuracy], judged: Sequence[Judged]) -> list[Table]:
    """TAR at FAR, judged thresholds, folds."""
    found = [
        Table(
            "verification_tar",
            "TAR at FAR",
            (
                Column("far", "FAR"),
                Column("tar", "TAR", "percent", 3),
                Column("interval", "95 %", "interval"),
                Column("achieved", "achieved", "number", 5),
                Column("threshold", "Threshold", "number", 4),
                Column("genuine", "Genuine", "integer"),
                Column("impostor", "Impostor", "integer"),
                Column("resolved", "Resolved by"),
            ),
            tuple(
                {
                    "far": rate(p.far),
                    "tar": p.tar_all,
                    "interval": _pair(interval),
                    "achieved": p.far_achieved,
                    "threshold": p.threshold,
                    "genuine": p.n_genuine_all,
                    "impostor": p.n_impostor,
                    "resolved": {"rule of thirty": "30 / FAR", "rule of three": "3 / FAR", "no": "no"}[
                        p.resolution
                    ],
                }
                for p, interval, _ in points
            ),
            "Threshold: the smallest observed score whose FAR is at most the target. Resolved: by the rule of "
            "thirty (30 / FAR impostor pairs), of three (3 / FAR), or not at all; then TAR is what these pairs show.",
        )
    ]
    if judged:
        found.append(_judged_table(judged))
    if folds:
        rows: list[dict[str, Any]] = [
            {"mode": one.mode, "fold": k + 1, "accuracy": float(one.accuracy[k]),
             "threshold": float(one.thresholds[k]), "pairs": int(one.counts[k])}
            for one in folds
            for k in range(len(one.accuracy))
        ]  # fmt: skip
        rows += [
            {"mode": one.mode, "fold": "all", "accuracy": one.mean, "pairs": int(one.counts.sum())}
            for one in folds
        ]
        found.append(
            Table(
                "verification_folds",
                "Accuracy of every fold",
                (
                    Column("mode", "Protocol"),
                    Column("fold", "Fold"),
                    Column("accuracy", "Accuracy", "percent", 3),
                    Column("threshold", "Threshold of the other folds", "number", 4),
                    Column("pairs", "Pairs", "integer"),
                ),
                tuple(rows),
                "Thresholds are similarities for exact, distances for insightface and facenet.",
            )
        )
    return found


def _judged_table(judged: Sequence[Judged]) -> Table:
    rows = []
    for j in judged:
        row: dict[str, Any] = {
            "fmr": rate(j.target), "genuine": j.rates.n_genuine if j.rates else None, "people": j.people or None,
            "impostor": j.n_impostor or None, "why": j.missing or (j.fnmr.why if j.fnmr else ""),
        }  # fmt: skip
        for key, shown in (
            ("threshold", j.threshold), ("fnmr", j.fnmr), ("target", j.with_threshold), ("person", j.per_person),
            ("scored", j.scored), ("reached", j.fmr), ("reached_target", j.fmr_target),
        ):  # fmt: skip
            row[key] = shown.value if shown else None
            row[f"{key}_interval"] = _pair(shown.interval) if shown else None
        rows.append(row)
    lost = any(j.scored is not None for j in judged)
    columns = (
        Column("fmr", "FMR target"),
        Column("threshold", "Threshold", "number", 4),
        Column("threshold_interval", "95 %", "interval"),
        Column("fnmr", "FNMR", "percent", 3),
        Column("fnmr_interval", "95 %, threshold as it is", "interval"),
        Column("target_interval", "95 %, its choice included", "interval"),
        Column("scored", "FNMR with vectors", "percent", 3) if lost else None,
        Column("genuine", "Genuine pairs", "integer"),
        Column("person", "FNMR a person", "percent", 3),
        Column("person_interval", "95 %", "interval"),
        Column("people", "People", "integer"),
        Column("reached", "FMR reached", "percent", 4),
        Column("reached_interval", "95 %, threshold as it is", "interval"),
        Column("reached_target_interval", "95 %, its choice included", "interval"),
        Column("impostor", "Impostor pairs", "integer"),
        Column("why", "Note") if any(row["why"] for row in rows) else None,
    )
    return Table(
        "verification_thresholds",
        "Error rates at thresholds chosen on other people",
        tuple(column for column in columns if column is not None),
        tuple(rows),
        "FNMR counts a genuine pair without a vector as an error"
        + (
            "; the column of pairs with vectors leaves them out. "
            if lost
            else "; here no such pair is judged. "
        )
        + "FNMR a person: the mean over people, each weighing the same.",
    )
