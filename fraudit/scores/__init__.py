"""Scored pairs as values and as files."""

from fraudit.scores.formats import FORMATS, read_score_pair, read_scores, write_scores
from fraudit.scores.run import read_run_scores
from fraudit.scores.scoreset import ScoreSet

__all__ = [
    "FORMATS",
    "ScoreSet",
    "read_run_scores",
    "read_score_pair",
    "read_scores",
    "write_scores",
]
