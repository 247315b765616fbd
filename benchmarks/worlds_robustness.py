"""Simulated worlds for the robustness verdicts, of vectors alone; about 0.15 s a world.

How often is a finding raised where there is nothing to find, and how often is a planted loss found?
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fraudit.analyses.robustness import build_grid
from fraudit.analyses.robustness_cells import Answers
from fraudit.analyses.robustness_findings import findings
from fraudit.perturb.catalogue import CORRUPTIONS
from fraudit.stats.robustness import Comparisons, probe_pairs

NAMES = ("gaussian_noise", "defocus_blur", "fog", "jpeg", "roll", "medical_mask")
SEVERITIES = (1, 3, 5)
DIM = 32
FMR = 1e-2

STATED_SHARE = 0.10  # 5 % each for FNMR and FMR (docs/severity.md)


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
    comparisons = Comparisons(pairs, clean, threshold, len(NAMES) * len(SEVERITIES))
    ok = np.ones(len(pairs.probes), bool)
    answers = {}
    for name in NAMES:
        for severity in SEVERITIES:
            vectors = _vectors(own[subjects[pairs.probes]], rng, 0.9)
            if loss and (name, severity) == ("medical_mask", 3):
                lost = rng.random(len(vectors)) < loss
                vectors[lost] = _vectors(rng.normal(size=(int(lost.sum()), DIM)), rng, 0.9)
            answers[name, severity] = Answers(vectors, ok)
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
    """Whether a finding (low or worse) is raised though nothing changes. Stated share: 10 %."""
    return world(seed).raised


def planted_world(seed: int, loss: float = 0.4) -> tuple[bool, bool]:
    """(the planted corruption is named as the worst, the interval of its FNMR covers the truth)."""
    verdict = world(seed, loss)
    return verdict.found, verdict.covered
