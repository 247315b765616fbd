"""Finished runs side by side: paired differences where the stored evidence allows them."""

from fraudit.compare.deltas import Pairing, delta, deltas
from fraudit.compare.outputs import Comparison, compare, write
from fraudit.compare.sides import differences, require_comparable, run_side
from fraudit.compare.values import Delta, Side

__all__ = [
    "Comparison",
    "Delta",
    "Pairing",
    "Side",
    "compare",
    "delta",
    "deltas",
    "differences",
    "require_comparable",
    "run_side",
    "write",
]
