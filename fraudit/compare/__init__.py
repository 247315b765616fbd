"""Finished runs side by side: paired differences where the stored evidence allows them."""

from fraudit.compare.deltas import Delta, Pairing, delta, deltas
from fraudit.compare.outputs import Comparison, compare, write
from fraudit.compare.sides import Side, differences, require_comparable, run_side

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
