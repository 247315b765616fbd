"""The robustness grid: cells of corruptions and severities, for all and by group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.analyses.robustness.params import FMR_ERROR, NAME, Params
from fraudit.analyses.shared.attributes import group_masks
from fraudit.errors import DataError
from fraudit.faces.attributes import usual_attributes
from fraudit.files.doors import RECORD_BYTES, entering, read_json
from fraudit.stats.probe_pairs import ProbeScores
from fraudit.stats.robustness import Cell, Comparisons, simultaneous_level
from fraudit.types import F64

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext
    from fraudit.audit.pair_scores import Cells, PairScores
    from fraudit.audit.thresholds import Threshold

NO_GENUINE = "the set has no genuine pairs"


@dataclass(frozen=True, slots=True)
class Grid:
    """Everything measured, before it is put into words.

    Attributes:
        corruptions: in catalogue order. severities: ascending.
        cells: (corruption, severity) -> Cell.
        sums: f64[corruptions, severities, people], genuine errors of each person; None without genuine pairs.
        clean_sums, pairs: f64[people], clean errors and genuine comparisons; None without genuine pairs.
        split: `sums` if only faces that are not found failed, and if only faces that are found did
            (`Comparisons.split`); None where every face is found, or without genuine pairs.
    """

    corruptions: tuple[Any, ...]
    severities: tuple[int, ...]
    cells: Mapping[Cells, Cell]
    sums: F64 | None
    clean_sums: F64 | None
    pairs: F64 | None
    split: tuple[F64, F64] | None = None


def cells_level(cells: int) -> float:
    """Level of the intervals of FMR's rises, which hold for all cells at once."""
    return simultaneous_level(cells, FMR_ERROR)


def build_grid(
    comparisons: Comparisons,
    answers: Mapping[Cells, ProbeScores],
    corruptions: Sequence[Any],
    severities: Sequence[int],
) -> Grid:
    """Cells and per-person errors of every corruption and severity."""
    cells = {key: comparisons.cell(answer) for key, answer in answers.items()}
    errors = _person_errors(comparisons, answers, corruptions, severities)
    return Grid(tuple(corruptions), tuple(severities), cells, *errors)


def _person_errors(
    comparisons: Comparisons,
    answers: Mapping[Cells, ProbeScores],
    corruptions: Sequence[Any],
    severities: Sequence[int],
) -> tuple[F64 | None, F64 | None, F64 | None, tuple[F64, F64] | None]:
    """`sums`, `clean_sums`, `pairs` and `split` of a Grid."""
    if not comparisons.pairs.same.any():
        return None, None, None, None
    missed = {key: ~(a.scores >= comparisons.threshold) for key, a in answers.items()}
    lost = {key: np.isnan(a.scores) for key, a in answers.items()}
    keys = [[(c.name, s) for s in severities] for c in corruptions]
    sums = np.array([[comparisons.person_sums(missed[key]) for key in row] for row in keys])
    split = None
    if any(found.any() for found in lost.values()):
        both = np.array([[comparisons.split(missed[key], lost[key]) for key in row] for row in keys])
        split = both[:, :, 0], both[:, :, 1]
    clean = comparisons.person_sums(comparisons.clean_errors)
    return sums, clean, comparisons.person_sums(np.ones(len(comparisons.pairs.same), bool)), split


def reference_rates(path: str, grid: Grid, digest: str) -> tuple[F64, float]:
    """(f64[corruptions, severities] FNMR of a reference run, its clean FNMR).

    Raises:
        DataError: no such run, another face set, or a cell that the reference did not measure.
    """
    file = Path(path) / "run.json" if Path(path).is_dir() else Path(path)
    with entering(f"no run record at {path}", "give the folder of a finished run as reference"):
        record = read_json(file, RECORD_BYTES)
        metrics = {
            m["name"]: m["value"]
            for result in record["results"]
            if result["name"] == NAME
            for m in result["metrics"]
            if not m["group"]
        }
        theirs = record["inputs"]["dataset"]["digest"]
    if theirs != digest:
        raise DataError("the reference run saw another face set", "run the reference on the same data")
    wanted = [[f"robustness.fnmr.{c.name}.{s}" for s in grid.severities] for c in grid.corruptions]
    names = ["robustness.fnmr.clean", *(name for row in wanted for name in row)]
    gone = [name for name in names if metrics.get(name) is None]
    if gone:
        raise DataError(
            f"the reference run lacks {len(gone)} cells, the first is {gone[0]}",
            "run the reference with the same corruptions and severities",
        )
    return np.array([[metrics[name] for name in row] for row in wanted]), float(
        metrics["robustness.fnmr.clean"]
    )


def clean_threshold(scores: PairScores, fmr: float | None) -> Threshold:
    """The threshold for `fmr`, by default the strictest FMR that the people it is chosen on resolve."""
    wanted = scores.strict_point() if fmr is None else fmr
    return scores.threshold(scores.operating_points((wanted,))[0])


def group_cells(
    context: AnalysisContext, params: Params, comparisons: Comparisons, answers: Mapping[Cells, ProbeScores]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """(group -> (mask of probes, cells), why there is none)."""
    attributes = context.faces.attributes
    names = usual_attributes(attributes, 1) if params.by == "auto" else (params.by,)
    if params.by == "none" or not names:
        return {}, ()
    name = names[0]
    if name not in attributes:
        known = ", ".join(sorted(attributes)) or "none"
        raise DataError(f"robustness.by: the set has no attribute '{name}'", f"known: {known}")
    probes = comparisons.pairs.probes
    masks = group_masks(np.asarray(attributes[name])[probes])
    if not masks:
        return {}, (f"No grid per group: '{name}' has no two to eight values among the probes.",)
    groups = {}
    for label, mask in masks.items():
        cells = {key: comparisons.cell(answer, mask) for key, answer in answers.items()}
        people = len(np.unique(context.faces.subjects[probes[mask]]))
        groups[f"{name}={label}"] = (mask, cells, people)
    return groups, ()


def label_of(grid: Grid, name: str) -> str:
    """Words for a corruption's name."""
    return next(c.label for c in grid.corruptions if c.name == name)


def harm(grid: Grid, name: str) -> float:
    """What corruptions are ordered by: mean FNMR over severities, or loss of similarity without pairs."""
    cells = [grid.cells[name, s] for s in grid.severities]
    if all(cell.fnmr for cell in cells):
        # Similarity breaks ties between corruptions that do no measured harm.
        return float(np.mean([c.fnmr.value - 1e-6 * (c.similarity or 0.0) for c in cells if c.fnmr]))
    return float(np.mean([1 - (cell.similarity if cell.similarity is not None else -1.0) for cell in cells]))
