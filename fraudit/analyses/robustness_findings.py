"""The robustness grid in sentences; the rules of severity are in docs/severity.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np

from fraudit.analyses.robustness import Grid, Params
from fraudit.analyses.robustness_words import NO_GENUINE, harm, label_of
from fraudit.formatting import fmr_words, group_words, percent
from fraudit.perturb.base import Corruption
from fraudit.stats.intervals import Difference
from fraudit.stats.robustness import Comparisons, group_gap
from fraudit.types import F64, I64, Finding, Severity

# docs/severity.md, Robustness. Increases of FNMR, as simultaneous lower bounds.
GRAVE_INCREASE = 0.20
NOTABLE_INCREASE = 0.05
MODERATE_SEVERITY = 3
HARMLESS_INCREASE = 0.02
FMR_FACTOR = 3.0


def _points(difference: Difference) -> str:
    low, high = 100 * max(difference.interval.low, -1.0), 100 * min(difference.interval.high, 1.0)
    return f"{100 * difference.value:+.1f} points ({low:.1f} to {high:.1f})"


def increase_severity(lower_bound: float, severity: int) -> Severity | None:
    """Severity of a resolved FNMR increase by docs/severity.md, None where the bound is not above 0."""
    if lower_bound <= 0:
        return None
    moderate = severity <= MODERATE_SEVERITY
    if lower_bound >= GRAVE_INCREASE:
        return "high" if moderate else "medium"
    return "medium" if lower_bound >= NOTABLE_INCREASE and moderate else "low"


_RANK = {"high": 0, "medium": 1, "low": 2}


def _level(corruption: Corruption, severity: int) -> str:
    unit = "" if corruption.unit == "share" else f" {corruption.unit}"
    return f"{corruption.parameter}: {corruption.level(severity):g}{unit}"


def findings(grid: Grid, comparisons: Comparisons, fmr_target: float) -> list[Finding]:
    """The worst corruption, how many more are resolved, what is harmless, and who matches strangers."""
    cells = len(grid.cells)
    together = f"95 % interval for all {cells} cells at once"
    resolved: list[tuple[tuple[float, ...], str, int, Severity]] = []
    for (name, severity), cell in grid.cells.items():
        if cell.increase_all is not None:
            level = increase_severity(cell.increase_all.interval.low, severity)
            if level:
                # The gravest level first, then the corruption that does most harm, then its clearest severity.
                order = (_RANK[level], -harm(grid, name), -cell.increase_all.interval.low)
                resolved.append((order, name, severity, level))
    found: list[Finding] = []
    clean = comparisons.clean_fnmr
    if resolved and clean is not None:
        resolved.sort()
        _, name, severity, level = resolved[0]
        cell = grid.cells[name, severity]
        corruption = next(c for c in grid.corruptions if c.name == name)
        rate = cell.fnmr
        if rate is not None and cell.increase_all is not None:
            text = (
                f"{corruption.label} at severity {severity} ({_level(corruption, severity)}) takes "
                f"FNMR from {percent(clean.value)} to {percent(rate.value)}: "
                f"{_points(cell.increase_all)}, {together}; {rate.n:,} genuine pairs of "
                f"{rate.people:,} people at the clean threshold for FMR {fmr_words(fmr_target)}."
            )
            if cell.lost.value > 0:
                text += f" In {percent(cell.lost.value)} of the {cell.n} pictures no face is found any more."
            evidence = (f"robustness.fnmr.{name}.{severity}", "robustness.fnmr.clean")
            found.append(Finding(level, text, evidence, "robustness.fnmr_increase"))
        names = list(dict.fromkeys(label_of(grid, entry[1]) for entry in resolved))
        if len(names) > 1:
            grave = [e for e in resolved if e[3] in ("high", "medium")]
            text = (
                f"{len(names)} of {len(grid.corruptions)} corruptions raise FNMR beyond doubt in at least "
                "one severity "
                f"({together}); most harmful first: "
                f"{', '.join(names[:6])}{' and others' if len(names) > 6 else ''}."
            )
            found.append(
                Finding(
                    "medium" if len({e[1] for e in grave}) > 1 else "low",
                    text,
                    tuple(f"robustness.fnmr.{e[1]}.{e[2]}" for e in resolved[:6]),
                    "robustness.count",
                )
            )
    found += _fmr_finding(grid, comparisons, fmr_target, together)
    found += _harmless(grid, together)
    if not found and clean is not None:
        bounds = [c.increase_all.interval.high for c in grid.cells.values() if c.increase_all is not None]
        text = (
            f"No corruption changes FNMR beyond doubt; increases up to {100 * max(bounds):.1f} points are "
            "not excluded "
            f"({together}; {clean.n:,} genuine pairs of {clean.people:,} people)."
        )
        found.append(Finding("info", text, ("robustness.fnmr.clean",), "robustness.unresolved"))
    return found


def _fmr_finding(grid: Grid, comparisons: Comparisons, target: float, together: str) -> list[Finding]:
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
    strong = cell.fmr_increase_all.interval.low >= (FMR_FACTOR - 1) * max(clean.value, target)
    level: Severity = "low"
    if strong:
        level = "high" if severity <= MODERATE_SEVERITY else "medium"
    text = (
        f"{label_of(grid, name)} at severity {severity} takes FMR from {percent(clean.value)} to "
        f"{percent(cell.fmr.value)}: "
        f"{_points(cell.fmr_increase_all)}, {together}; {cell.fmr.n:,} impostor pairs. Corrupted faces "
        "match strangers."
    )
    return [
        Finding(
            level,
            text,
            (f"robustness.fmr.{name}.{severity}", "robustness.fmr.clean"),
            "robustness.fmr_increase",
        )
    ]


def _harmless(grid: Grid, together: str) -> list[Finding]:
    safe = []
    for corruption in grid.corruptions:
        bounds = [grid.cells[corruption.name, s].increase_all for s in grid.severities]
        if all(b is not None and b.interval.high <= HARMLESS_INCREASE for b in bounds):
            safe.append(corruption)
    if not safe:
        return []
    names = ", ".join(c.label for c in safe)
    text = (
        f"{len(safe)} of {len(grid.corruptions)} corruptions leave FNMR within "
        f"{100 * HARMLESS_INCREASE:.0f} points up to "
        f"severity {max(grid.severities)} ({together}): {names}."
    )
    evidence = tuple(f"robustness.fnmr.{c.name}.{max(grid.severities)}" for c in safe[:6])
    return [Finding("good", text, evidence, "robustness.harmless")]


def headline(grid: Grid, comparisons: Comparisons, found: Sequence[Finding]) -> str:
    """One sentence: the worst corruption, with what is known of it."""
    worst = max(grid.corruptions, key=lambda c: harm(grid, c.name))
    rates = [grid.cells[worst.name, s].fnmr for s in grid.severities]
    if all(rates) and comparisons.clean_fnmr:
        mean = float(np.mean([rate.value for rate in rates if rate]))
        return (
            f"{worst.label} does most harm: mean FNMR {percent(mean)} over severities "
            f"{', '.join(map(str, grid.severities))}, against {percent(comparisons.clean_fnmr.value)} on "
            "clean pictures."
        )
    return f"{worst.label} moves vectors farthest from those of the clean pictures; FNMR needs genuine pairs."


def gap_findings(grid: Grid, increase: F64, members: Mapping[str, I64]) -> list[Finding]:
    """The corruption that widens the gap between two groups most, where it is resolved.

    Args:
        increase: f64[corruptions, people]. members: group -> its columns of `increase`.
    """
    large = list(members)
    tests = len(grid.corruptions) * len(list(combinations(large, 2)))
    best: tuple[float, Difference, str, str, Corruption] | None = None
    for c, corruption in enumerate(grid.corruptions):
        for first, second in combinations(large, 2):
            gap = group_gap(increase[c, members[first]], increase[c, members[second]], 1 - 0.05 / tests)
            low, a, b = gap.interval.low, first, second
            if gap.value < 0:
                low, a, b = -gap.interval.high, second, first
            if low > 0 and (best is None or low > best[0]):
                best = (low, gap, a, b, corruption)
    if best is None:
        return []
    low, gap, a, b, corruption = best
    high = max(abs(gap.interval.low), abs(gap.interval.high))
    level: Severity = "high" if low >= 0.10 else "medium" if low >= 0.03 else "low"
    said = group_words(large)
    text = (
        f"{corruption.label} raises FNMR by {100 * abs(gap.value):.1f} points more for '{said[b]}' than for "
        f"'{said[a]}' "
        f"(95 % interval {100 * low:.1f} to {100 * high:.1f} for all {tests} comparisons at once; "
        f"{len(members[b])} and {len(members[a])} people, mean over severities)."
    )
    name = f"robustness.fnmr_increase.{corruption.name}"
    return [Finding(level, text, (name,), "robustness.group_gap")]


def small_groups(sizes: Mapping[str, int], floor: int) -> tuple[str, ...]:
    """Which groups are too small for a grid of their own. `sizes`: group -> people."""
    said = group_words(sizes)
    small = [f"{said[group]} ({count})" for group, count in sizes.items() if count < max(floor, 2)]
    if not small:
        return ()
    return (f"No grid for groups of fewer than {floor} people: {', '.join(small)}.",)


def caveats(
    grid: Grid, comparisons: Comparisons, threshold: Any, redetect: bool, params: Params
) -> tuple[str, ...]:
    """What limits the figures."""
    found = []
    if not threshold.resolvable:
        found.append(
            f"The threshold for FMR {fmr_words(threshold.fmr_target)} rests on {threshold.n_impostor:,} impostor "
            "pairs; the rule "
            f"of three asks for {3 / threshold.fmr_target:,.0f}."
        )
    if comparisons.clean_fnmr is None:
        found.append(f"FNMR is missing: {NO_GENUINE}.")
    elif comparisons.clean_fnmr.people < 30:
        found.append(
            f"Only {comparisons.clean_fnmr.people} people have probes here; intervals are wide. "
            "More: --param robustness.probes=N."
        )
    if params.where == "picture" and not redetect:
        found.append(
            "Failures to acquire are not measured: the landmarks are declared by the set, so no detector "
            "has to find "
            "the corrupted face."
        )
    if params.where == "aligned":
        found.append("Failures to acquire are not measured: the aligned face was corrupted.")
    return tuple(found)


def method(comparisons: Comparisons, threshold: Any, redetect: bool, params: Params) -> str:
    """How it was measured, in a few sentences."""
    place = "the aligned face" if params.where == "aligned" else "the picture before alignment"
    finder = (
        "a detector looks at every corrupted picture; where it finds no face, the probe matches nobody"
        if redetect
        else "the five points of the clean picture are kept"
    )
    pairs = comparisons.pairs
    return (
        f"Corruptions act on {place}; {finder}. {len(pairs.probes)} corrupted probes are compared with "
        "clean enrolments "
        f"of the same person ({int(pairs.same.sum()):,} pairs) and of others "
        f"({int((~pairs.same).sum()):,}), all outside "
        f"the half of the people on which the threshold {threshold.value:.4f} was {threshold.provenance}. "
        "Intervals are "
        "identity-clustered; findings use intervals that hold for all cells at once (Bonferroni). "
        "Severities: "
        "docs/corruptions.md."
    )
