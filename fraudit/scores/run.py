"""The scores a run leaves behind, so that comparisons and gates need no model."""

from __future__ import annotations

from pathlib import Path

from fraudit.scores.formats import read_scores
from fraudit.scores.scoreset import ScoreSet

TEMPLATE_FILE = "template-scores.csv"  # in the folder of a run whose set lists pairs of templates


def read_run_scores(path: Path) -> ScoreSet:
    """The scores.csv of a run. Raises DataError."""
    return read_scores(path, "pairs-csv")
