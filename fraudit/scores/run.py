"""The scores a run leaves behind, so that comparisons and gates need no model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fraudit.scores.formats import read_scores, write_scores
from fraudit.scores.scoreset import ScoreSet
from fraudit.stats.pairs import pair_cosines

if TYPE_CHECKING:
    from fraudit.audit.context import AnalysisContext


def pair_scores(context: AnalysisContext) -> dict[str, np.ndarray[Any, Any]]:
    """Cosines of the pairs of the fold protocol (the set's own, or folds that the context made up).

    Returns:
        left, right: i64[P] faces; left_subject, right_subject: i64[P]; same: bool[P]; fold: i64[P];
        score: f64[P], NaN where a face has no vector.
    Raises:
        InsufficientData: the set gives no pairs.
    """
    pairs, embeddings = context.pairs(), context.embeddings()
    subjects = context.people()
    return {
        "left": pairs.left,
        "right": pairs.right,
        "left_subject": subjects[pairs.left],
        "right_subject": subjects[pairs.right],
        "same": pairs.same,
        "fold": pairs.fold,
        "score": pair_cosines(embeddings.unit(), pairs.left, pairs.right, embeddings.ok),
    }


def score_set(context: AnalysisContext) -> ScoreSet:
    """`pair_scores` with the faces' ids and, where the set names people, those as text."""
    table, named = pair_scores(context), context.faces.identified
    ids = np.array(context.faces.ids, dtype=np.str_)
    return ScoreSet(
        ids[table["left"]],
        ids[table["right"]],
        table["same"],
        table["score"],
        table["left_subject"].astype(str) if named else None,
        table["right_subject"].astype(str) if named else None,
        table["fold"],
        source=f"the pairs of '{context.faces.name}'",
        format="pairs-csv",
    )


def write_run_scores(context: AnalysisContext, path: Path) -> None:
    """scores.csv: left, right, left_subject, right_subject, same, fold, score (nan: no vector)."""
    write_scores(score_set(context), path, "pairs-csv")


def read_run_scores(path: Path) -> ScoreSet:
    """The scores.csv of a run. Raises DataError."""
    return read_scores(path, "pairs-csv")
