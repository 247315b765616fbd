"""The robustness grid in sentences; the rules of severity are in docs/severity.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from fraudit.analyses.robustness.measure import Grid, harm, label_of
from fraudit.analyses.robustness.params import FMR_ERROR, FNMR_ERROR, GAP_ERROR
from fraudit.errors import InsufficientData
from fraudit.formatting import fmr_words, group_words, percent
from fraudit.perturb.base import Corruption
from fraudit.stats.intervals import Difference, rule_of_three
from fraudit.stats.robustness import (
    Bounds,
    Cell,
    Comparisons,
    Rate,
    group_gap,
    increase_bounds,
    simultaneous_level,
)
from fraudit.types import F64, I64, SEVERITIES, Finding, Severity

# docs/severity.md, Robustness. Increases of FNMR, as simultaneous lower bounds.
GRAVE_INCREASE = 0.20
NOTABLE_INCREASE = 0.05
MODERATE_SEVERITY = 3
HARMLESS_INCREASE, HARMLESS_ERROR = 0.02, 0.05
LEAST_RECOGNISED = 0.5  # of clean pictures: a model that knows nobody cannot lose anybody
FMR_FACTOR = 3.0
FEW = "too few people carry the pairs"


def _points(value: float, low: float, high: float) -> str:
    return f"{100 * value:+.1f} points ({100 * low:.1f} to {100 * high:.1f})"


def _together(error: float, count: int, what: str = "cells") -> str:
    """Words for an interval of which either end is wrong in at most a share `error`, over all of `count`."""
    return f"{100 * (1 - 2 * error):.3g} % interval for all {count} {what} at once"


def few(comparisons: Comparisons) -> str:
    """Why nothing is said of FNMR: too few people carry the genuine pairs. '' where there are enough or none."""
    clean = comparisons.clean_fnmr
    return clean.reason if clean is not None and clean.interval is None else ""


def increase_severity(lower_bound: float, severity: int) -> Severity | None:
    """Severity of a resolved FNMR increase by docs/severity.md, None where the bound is not above 0."""
    if lower_bound <= 0:
        return None
    moderate = severity <= MODERATE_SEVERITY
    if lower_bound >= GRAVE_INCREASE:
        return "high" if moderate else "medium"
    return "medium" if lower_bound >= NOTABLE_INCREASE and moderate else "low"


# Rule of a rise of FNMR -> the figure of the cell that shows it.
EVIDENCE = {
    "robustness.fnmr_increase": "fnmr",
    "robustness.not_found": "fta",
    "robustness.not_recognised": "fnmr_found",
}


def _level(corruption: Corruption, severity: int) -> str:
    unit = "" if corruption.unit == "share" else f" {corruption.unit}"
    return f"{corruption.parameter}: {corruption.level(severity):g}{unit}"


def findings(grid: Grid, comparisons: Comparisons, fmr_target: float) -> list[Finding]:
    """The worst corruption, how many more are resolved, what is harmless, and who matches strangers."""
    found: list[Finding] = []
    bounds, reason = _bounds(grid, grid.sums, FNMR_ERROR)
    if bounds is not None:
        for loss in losses(grid):
            found += _fnmr_findings(grid, comparisons, fmr_target, loss)
    found += _fmr_finding(grid, comparisons, fmr_target)
    if bounds is not None:
        found += _harmless(grid, comparisons, bounds)
    clean = comparisons.clean_fnmr
    if clean is not None and (reason or not found):
        pairs = f"{clean.n:,} genuine pairs of {clean.people:,} people"
        if bounds is None:
            text = f"No corruption can be called harmful or harmless: {FEW} for all cells at once ({reason}; {pairs})."
        else:
            text = (
                f"No corruption changes FNMR beyond doubt; increases up to {100 * float(bounds.high.max()):.1f} "
                f"points are not excluded ({_together(FNMR_ERROR, len(grid.cells))}; {pairs})."
            )
        found.append(Finding("info", text, ("robustness.fnmr.clean",), "robustness.unresolved"))
    return found


def _bounds(grid: Grid, sums: F64 | None, error: float) -> tuple[Bounds | None, str]:
    """(bounds of FNMR's increase in the order of `sums`, why there are none); neither without genuine pairs."""
    if sums is None or grid.clean_sums is None or grid.pairs is None:
        return None, ""
    try:
        return increase_bounds(sums.reshape(-1, len(grid.pairs)), grid.clean_sums, grid.pairs, error), ""
    except InsufficientData as error_:
        return None, error_.message


@dataclass(frozen=True, slots=True)
class Loss:
    """One way in which FNMR can rise.

    Attributes:
        rule: of its finding. what: in words, of many corruptions.
        sums: f64[corruptions, severities, people], errors if it alone happened. error: its share of the error budget.
    """

    rule: str
    what: str
    sums: F64
    error: float


def losses(grid: Grid) -> list[Loss]:
    """The ways to lose a person: one where every face is found, else not found, and found but not recognised."""
    if grid.sums is None:
        return []
    if grid.split is None:
        return [Loss("robustness.fnmr_increase", "raise FNMR", grid.sums, FNMR_ERROR)]
    gone, unknown = grid.split
    return [
        Loss("robustness.not_found", "keep faces from being found", gone, FNMR_ERROR / 2),
        Loss(
            "robustness.not_recognised",
            "keep faces that are found from being recognised",
            unknown,
            FNMR_ERROR / 2,
        ),
    ]


def _words_of(
    rule: str, cell: Cell, clean: Rate, name: str, level: str, fmr_target: float
) -> tuple[str, str]:
    """(what happened, over what) of the finding of one cell; between them come the points with their bounds."""
    rate, at = cell.fnmr, f"at the clean threshold for FMR {fmr_words(fmr_target)}"
    if rule == "robustness.not_found":
        what = (
            f"{name} ({level}): no face is found any more in {percent(cell.lost.value)} of the {cell.n} pictures, "
            f"which by itself raises FNMR, {percent(clean.value)} on clean pictures, by"
        )
        return what, f"{clean.n:,} genuine pairs of {clean.people:,} people {at}"
    if rule == "robustness.not_recognised" and cell.recognised is not None:
        seen = cell.recognised
        what = (
            f"{name} ({level}): of the faces that are found, FNMR is {percent(seen.value)}, against "
            f"{percent(clean.value)} on clean pictures, which adds to the FNMR of all pairs"
        )
        return what, f"{seen.n:,} genuine pairs of {seen.people:,} people have a face found, {at}"
    after = percent(rate.value) if rate is not None else ""
    what = f"{name} ({level}) takes FNMR from {percent(clean.value)} to {after}:"
    return what, f"{clean.n:,} genuine pairs of {clean.people:,} people {at}"


def _fnmr_findings(grid: Grid, comparisons: Comparisons, fmr_target: float, loss: Loss) -> list[Finding]:
    bounds, _ = _bounds(grid, loss.sums, loss.error)
    if bounds is None:
        return []
    together = _together(loss.error, len(grid.cells))
    keys = [(c.name, s) for c in grid.corruptions for s in grid.severities]
    harms = {c.name: float(rows.sum()) for c, rows in zip(grid.corruptions, loss.sums, strict=True)}
    if grid.split is None:
        harms = {c.name: harm(grid, c.name) for c in grid.corruptions}
    resolved: list[tuple[tuple[float, ...], int, Severity]] = []
    for at, (name, severity) in enumerate(keys):
        level = increase_severity(float(bounds.low[at]), severity)
        if level:
            # The gravest level first, then the corruption that does most of this harm, then its clearest severity.
            order = (SEVERITIES.index(level), -harms[name], -float(bounds.low[at]))
            resolved.append((order, at, level))
    clean = comparisons.clean_fnmr
    if not resolved or clean is None:
        return []
    resolved.sort()
    _, at, level = resolved[0]
    name, severity = keys[at]
    corruption = next(c for c in grid.corruptions if c.name == name)
    change = _points(float(bounds.value[at]), float(bounds.low[at]), float(bounds.high[at]))
    said, over = _words_of(
        loss.rule,
        grid.cells[name, severity],
        clean,
        f"{corruption.label} at severity {severity}",
        _level(corruption, severity),
        fmr_target,
    )
    measured = EVIDENCE[loss.rule]
    found = [
        Finding(
            level,
            f"{said} {change}, {together}; {over}.",
            (f"robustness.{measured}.{name}.{severity}", "robustness.fnmr.clean"),
            loss.rule,
            _mildest(
                grid, corruption, [keys[entry[1]][1] for entry in resolved if keys[entry[1]][0] == name]
            ),
        )
    ]
    names = list(dict.fromkeys(label_of(grid, keys[entry[1]][0]) for entry in resolved))
    if len(names) > 1:
        grave = {keys[e[1]][0] for e in resolved if e[2] in ("high", "medium")}
        text = (
            f"{len(names)} of {len(grid.corruptions)} corruptions {loss.what} beyond doubt in at least "
            f"one severity ({together}); most harmful first: "
            f"{', '.join(names[:6])}{' and others' if len(names) > 6 else ''}."
        )
        evidence = tuple("robustness.{}.{}.{}".format(measured, *keys[e[1]]) for e in resolved[:6])
        found.append(
            Finding(
                "medium" if len(grave) > 1 else "low",
                text,
                evidence,
                "robustness.count",
                "See which of these your cameras and places bring; refuse or retake such pictures, or train with them.",
            )
        )
    return found


def _mildest(grid: Grid, corruption: Corruption, severities: Sequence[int]) -> str:
    """From which severity on the harm was shown, and what to do there."""
    least = min(severities)
    milder = [s for s in grid.severities if s < least]
    rest = (
        f" Up to severity {milder[-1]} ({_level(corruption, milder[-1])}) no harm was shown."
        if milder
        else ""
    )
    return (
        f"Refuse or retake such pictures from severity {least} of 5 on ({_level(corruption, least)}), or train the "
        f"model with them.{rest}"
    )


def _fmr_finding(grid: Grid, comparisons: Comparisons, target: float) -> list[Finding]:
    clean = comparisons.clean_fmr
    raised = [
        (cell.fmr_increase_all.interval.low, name, severity, cell)
        for (name, severity), cell in grid.cells.items()
        if cell.fmr_increase_all is not None and cell.fmr_increase_all.interval.low > 0
    ]
    if not raised or clean is None:
        return []
    _, name, severity, cell = max(raised, key=lambda entry: entry[0])
    if cell.fmr is None or cell.fmr_increase_all is None:
        return []
    bounds = cell.fmr_increase_all
    change = _points(bounds.value, bounds.interval.low, bounds.interval.high)
    strong = cell.fmr_increase_all.interval.low >= (FMR_FACTOR - 1) * max(clean.value, target)
    level: Severity = "low"
    if strong:
        level = "high" if severity <= MODERATE_SEVERITY else "medium"
    text = (
        f"{label_of(grid, name)} at severity {severity} takes FMR from {percent(clean.value)} to "
        f"{percent(cell.fmr.value)}: "
        f"{change}, {_together(FMR_ERROR, len(grid.cells))}; {cell.fmr.n:,} impostor pairs. Corrupted faces "
        "match strangers."
    )
    return [
        Finding(
            level,
            text,
            (f"robustness.fmr.{name}.{severity}", "robustness.fmr.clean"),
            "robustness.fmr_increase",
            "Refuse such pictures before they are compared: a higher threshold would turn away people with clean ones.",
        )
    ]


def _harmless(grid: Grid, comparisons: Comparisons, bounds: Bounds) -> list[Finding]:
    """Corruptions of which a loss would have been seen: enough people, who are recognised on clean pictures."""
    clean = comparisons.clean_fnmr
    count = len(grid.corruptions)
    # As many people as show a loss of HARMLESS_INCREASE in one of them, in all but 5 % of reports.
    if rule_of_three(bounds.people, 1 - HARMLESS_ERROR / count) > HARMLESS_INCREASE:
        return []
    if clean is None or clean.interval is None or clean.interval.high > 1 - LEAST_RECOGNISED:
        return []
    highest = bounds.high.reshape(count, -1).max(axis=1)
    safe = [c for c, high in zip(grid.corruptions, highest, strict=True) if high <= HARMLESS_INCREASE]
    if not safe:
        return []
    text = (
        f"{len(safe)} of {count} corruptions leave FNMR within {100 * HARMLESS_INCREASE:.0f} points up to "
        f"severity {max(grid.severities)} ({_together(FNMR_ERROR, len(grid.cells))}; {clean.n:,} genuine pairs of "
        f"{clean.people:,} people): {', '.join(c.label for c in safe)}."
    )
    evidence = tuple(f"robustness.fnmr.{c.name}.{max(grid.severities)}" for c in safe[:6])
    return [Finding("good", text, evidence, "robustness.harmless")]


def gap_findings(grid: Grid, increase: F64, members: Mapping[str, I64]) -> list[Finding]:
    """The corruption that widens the gap between two groups most, where it is resolved.

    Args:
        increase: f64[corruptions, people]. members: group -> its columns of `increase`.
    """
    large = list(members)
    tests = len(grid.corruptions) * len(list(combinations(large, 2)))
    level = simultaneous_level(tests, GAP_ERROR)
    best: tuple[float, Difference, str, str, Corruption] | None = None
    for c, corruption in enumerate(grid.corruptions):
        for first, second in combinations(large, 2):
            gap = group_gap(increase[c, members[first]], increase[c, members[second]], level)
            low, a, b = gap.interval.low, first, second
            if gap.value < 0:
                low, a, b = -gap.interval.high, second, first
            if low > 0 and (best is None or low > best[0]):
                best = (low, gap, a, b, corruption)
    if best is None:
        return []
    low, gap, a, b, corruption = best
    high = max(abs(gap.interval.low), abs(gap.interval.high))
    severity: Severity = "high" if low >= 0.10 else "medium" if low >= 0.03 else "low"
    said = group_words(large)
    text = (
        f"{corruption.label} raises FNMR by {100 * abs(gap.value):.1f} points more for '{said[b]}' than for "
        f"'{said[a]}' "
        f"({100 * low:.1f} to {100 * high:.1f}, {_together(GAP_ERROR, tests, 'comparisons')}; "
        f"{len(members[b])} and {len(members[a])} people, mean over severities)."
    )
    name = f"robustness.fnmr_increase.{corruption.name}"
    advice = (
        f"Refuse or retake such pictures for everybody, and train with them, those of '{said[b]}' above all."
    )
    return [Finding(severity, text, (name,), "robustness.group_gap", advice)]
