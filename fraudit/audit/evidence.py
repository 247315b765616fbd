"""What a run leaves behind for comparison and gates: scores.csv and, where there are vectors, vectors.npz."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np

from fraudit.audit.context import AnalysisContext
from fraudit.audit.template_pairs import FILE, compares_templates, template_score_set
from fraudit.errors import InsufficientData
from fraudit.files.vectors import write_vectors
from fraudit.scores import ScoreSet, write_scores


def score_set(context: AnalysisContext) -> ScoreSet:
    """The pairs that the run leaves behind, with the faces' ids and, where the set names people, those as text.

    Raises:
        InsufficientData: the set gives no pairs.
    """
    found, named = context.scores.listed(), context.faces.identified
    ids, pairs = np.array(context.faces.ids, dtype=np.str_), found.pairs
    return ScoreSet(
        ids[pairs.left],
        ids[pairs.right],
        pairs.same,
        found.scores,
        found.left.astype(str) if named else None,
        found.right.astype(str) if named else None,
        pairs.fold,
        source=f"the pairs of '{context.faces.name}'",
        format="pairs-csv",
    )


def write_run_scores(context: AnalysisContext, path: Path) -> None:
    """scores.csv: left, right, left_subject, right_subject, same, fold, score (nan: none)."""
    write_scores(score_set(context), path, "pairs-csv")


def save_evidence(context: AnalysisContext) -> None:
    """vectors.npz (ids, vectors, ok, reasons) and scores.csv in the run's folder, and scores of listed templates."""
    if context.scores.vectors:
        found = context.embeddings()
        path = context.run_dir / "vectors.npz"
        write_vectors(path, context.faces, found.vectors, found.ok, found.reasons)
    with contextlib.suppress(InsufficientData):  # verification says why there are no pairs
        write_run_scores(context, context.run_dir / "scores.csv")
    if compares_templates(context):
        write_scores(template_score_set(context), context.run_dir / FILE, "pairs-csv")
