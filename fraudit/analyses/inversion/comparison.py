"""Inversion risk of two runs side by side."""

from __future__ import annotations

from fraudit.compare.hooks import Comparison

COMPARISON = Comparison(importance=24, judged=True)
