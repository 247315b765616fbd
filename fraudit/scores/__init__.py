"""Scored pairs as values and as files."""

from fraudit.scores.formats import FORMATS, read_score_pair, read_scores, write_scores
from fraudit.scores.run import pair_scores, read_run_scores, write_run_scores
from fraudit.scores.scoreset import ScoreSet

__all__ = [
    "FORMATS",
    "ScoreSet",
    "pair_scores",
    "read_run_scores",
    "read_score_pair",
    "read_scores",
    "write_run_scores",
    "write_scores",
]
