"""Simulated worlds for the robustness verdicts, of vectors alone; about 0.15 s a world, 0.4 s a whole report.

How often is a finding raised where there is nothing to find, and how often is a planted loss found? `null_report`
is a whole grid in a skewed world with groups, of corruptions that leave a picture alone or make one more picture of
the person of it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


from benchmarks.worlds import Kind, World, make
from fraudit.analyses.robustness.findings import findings, gap_findings
from fraudit.analyses.robustness.groups import group_parts
from fraudit.analyses.robustness.measure import Grid, build_grid, cells_level
from fraudit.analyses.robustness.metrics import mean_metrics
from fraudit.analyses.shared.attributes import group_masks
from fraudit.errors import InsufficientData
from fraudit.perturb.catalogue import CORRUPTIONS
from fraudit.stats.calibration import calibrate, calibration_half
from fraudit.stats.family import FAMILY_LEVEL
from fraudit.stats.probe_pairs import ProbeCosines, probe_pairs
from fraudit.stats.robustness import Comparisons, group_gap
from fraudit.types import Interval

NAMES = ("gaussian_noise", "defocus_blur", "fog", "jpeg", "roll", "medical_mask")
SEVERITIES = (1, 3, 5)
DIM = 32
FMR = 1e-2

STATED_SHARE = FAMILY_LEVEL  # of all findings of the analysis together (docs/severity.md)
UNTOUCHED = 0.5  # share of pictures that a corruption of `null_report` leaves alone
GROUP_FLOOR = 10


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules said of one world: the worst raised finding and, where planted, its cell."""

    raised: bool
    found: bool = False
    covered: bool = False


def _vectors(own: np.ndarray, rng: np.random.Generator, within: float) -> np.ndarray:
    drawn = own + within * rng.normal(size=own.shape)
    return (drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32)


def world(seed: int, loss: float = 0.0, people: int = 60, each: int = 4, probes: int = 60) -> Verdict:
    """One world of `people`, where `medical_mask` at severity 3 takes the identity of a share `loss`.

    Elsewhere a corrupted picture is one more clean picture of the person: FNMR and FMR do not change.
    """
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(people, DIM))
    subjects = np.repeat(np.arange(people), each)
    clean = _vectors(own[subjects], rng, 0.9)
    strangers = _vectors(rng.normal(size=(400, DIM)), rng, 0.9)
    scores = (strangers @ strangers.T)[np.triu_indices(400, 1)]
    threshold = float(np.quantile(scores, 1 - FMR))
    pairs = probe_pairs(subjects, np.ones(len(subjects), bool), probes, rng)
    cosines = ProbeCosines(pairs, clean)
    comparisons = Comparisons(pairs, cosines.clean(), threshold, cells_level(len(NAMES) * len(SEVERITIES)))
    ok = np.ones(len(pairs.probes), bool)
    answers = {}
    for name in NAMES:
        for severity in SEVERITIES:
            vectors = _vectors(own[subjects[pairs.probes]], rng, 0.9)
            if loss and (name, severity) == ("medical_mask", 3):
                lost = rng.random(len(vectors)) < loss
                vectors[lost] = _vectors(rng.normal(size=(int(lost.sum()), DIM)), rng, 0.9)
            answers[name, severity] = cosines.corrupted(vectors, ok)
    grid = build_grid(comparisons, answers, [CORRUPTIONS[name] for name in NAMES], SEVERITIES)
    said = findings(grid, comparisons, FMR)
    raised = any(f.severity in ("high", "medium", "low") for f in said)
    if not loss:
        return Verdict(raised)
    cell = grid.cells["medical_mask", 3]
    # Expected: what clean pictures miss, and of the lost ones all but the share FMR.
    others = [grid.cells[key].fnmr.value for key in grid.cells if key != ("medical_mask", 3)]
    usual = float(np.mean(others))
    truth = (1 - loss) * usual + loss * (1 - FMR)
    covered = cell.fnmr.interval.low <= truth <= cell.fnmr.interval.high
    found = any(f.rule == "robustness.fnmr_increase" and "medical_mask.3" in f.evidence[0] for f in said)
    return Verdict(raised, found, bool(covered))


def null_world(seed: int) -> bool:
    """Whether a finding (low or worse) is raised though nothing changes."""
    return world(seed).raised


def planted_world(seed: int, loss: float = 0.4) -> tuple[bool, bool]:
    """(the planted corruption is named as the worst, the interval of its FNMR covers the truth)."""
    verdict = world(seed, loss)
    return verdict.found, verdict.covered


def _comparisons(seed: int, people: int, kind: Kind) -> tuple[World, Comparisons, np.random.Generator]:
    """A world, its probes and comparisons at the threshold of the other half of the people.

    Raises:
        InsufficientData: fewer than two people to judge.
    """
    world, rng = make(people, kind, seed), np.random.default_rng([seed, 20])
    threshold = calibrate(world.unit, world.subjects, np.ones(len(world.subjects), bool), seed).threshold(FMR)
    pairs = probe_pairs(world.subjects, ~calibration_half(world.subjects, seed), 60, rng)
    level = cells_level(len(CORRUPTIONS) * len(SEVERITIES))
    return world, Comparisons(pairs, ProbeCosines(pairs, world.unit).clean(), threshold, level), rng


def null_report(seed: int, people: int, kind: Kind) -> list[str]:
    """Severities of all findings of one report in a world of `kind` where no corruption does anything."""
    try:
        world, comparisons, rng = _comparisons(seed, people, kind)
    except InsufficientData:
        return []
    pairs = comparisons.pairs
    cosines = ProbeCosines(pairs, world.unit)
    who, ok = world.subjects[pairs.probes], np.ones(len(pairs.probes), bool)
    answers = {}
    for name in CORRUPTIONS:
        for severity in SEVERITIES:
            vectors = world.another(who, rng)
            alone = rng.random(len(who)) < UNTOUCHED
            vectors[alone] = world.unit[pairs.probes[alone]]
            answers[name, severity] = cosines.corrupted(vectors, ok)
    grid = build_grid(comparisons, answers, list(CORRUPTIONS.values()), SEVERITIES)
    increase, large, _ = _groups(world, comparisons, grid)
    said = [*findings(grid, comparisons, FMR), *gap_findings(grid, increase, large)]
    return [f.severity for f in said]


def _groups(world: World, comparisons: Comparisons, grid: Grid) -> Any:
    """(increase, members, metrics) of `group_parts` for the world's groups."""
    probes = comparisons.pairs.probes
    who = world.subjects[probes]
    groups: dict[str, Any] = {
        label: (mask, {}, len(np.unique(who[mask])))
        for label, mask in group_masks(world.groups[probes]).items()
    }
    metrics, _, _, increase, large = group_parts(grid, comparisons, groups, GROUP_FLOOR)
    return increase, large, metrics


def figures(seed: int, people: int, kind: Kind) -> dict[str, tuple[float, Interval | None]]:
    """Name -> (value, interval) of what a report prints under two corruptions that move vectors and lose some."""
    world, comparisons, rng = _comparisons(seed, people, kind)
    pairs, names = comparisons.pairs, ("fog", "jpeg")
    cosines = ProbeCosines(pairs, world.unit)
    who = world.subjects[pairs.probes]
    answers = {}
    for name, loss in zip(names, (0.1, 0.3), strict=True):
        vectors = world.unit[pairs.probes] + 0.5 * (world.another(who, rng) - world.unit[pairs.probes])
        lost = rng.random(len(who)) < loss
        vectors[lost] = rng.normal(size=(int(lost.sum()), vectors.shape[1]))
        unit = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
        answers[name, 3] = cosines.corrupted(unit, rng.random(len(who)) > loss / 2)
    grid = build_grid(comparisons, answers, [CORRUPTIONS[n] for n in names], (3,))
    cell, clean = grid.cells["jpeg", 3], comparisons.clean_fnmr
    told: dict[str, tuple[float, Interval | None]] = {}
    for name, rate in (("fnmr_clean", clean), ("fnmr", cell.fnmr), ("fmr", cell.fmr), ("fta", cell.lost)):
        if rate is not None:
            told[name] = (rate.value, rate.interval)
    if cell.similarity is not None:
        told["similarity"] = (cell.similarity, cell.similarity_interval)
    if clean is not None and cell.fnmr is not None:
        interval = cell.increase.interval if cell.increase else None
        told["increase"] = (cell.fnmr.value - clean.value, interval)
    wanted = ("robustness.mean_fnmr", "robustness.mean_fnmr_increase")
    told |= {
        m.name.removeprefix("robustness."): (m.value, m.interval)
        for m in mean_metrics(grid)
        if m.name in wanted and m.value is not None
    }
    increase, large, metrics = _groups(world, comparisons, grid)
    for m in metrics:
        if m.name.endswith("jpeg") and m.value is not None:
            told[f"increase_{m.group}"] = (m.value, m.interval)
    if {"a", "b"} <= set(large):
        gap = group_gap(increase[1, large["a"]], increase[1, large["b"]])
        told["gap_ab"] = (gap.value, gap.interval)
    return told
