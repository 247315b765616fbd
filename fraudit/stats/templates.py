"""Scores of pairs of templates, as IJB-B and IJB-C compare them.

Two templates are compared by the cosine of their fused vectors (Whitelam et al., IARPA Janus Benchmark-B, CVPRW 2017;
Maze et al., IARPA Janus Benchmark-C, ICB 2018). Pairs of templates of one person do not count as so many pieces of
evidence: the people of templates are what is resampled, as for pictures.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fraudit.stats.pairs import pair_cosines
from fraudit.types import F64, I64, Bool


def template_scores(fused: NDArray[Any], left: I64, right: I64, ok: Bool | None = None) -> tuple[F64, Bool]:
    """(cosines f64[P], usable bool[T]) of pairs of templates, computed in blocks; NaN where one has no vector.

    Args:
        fused: f32[T,D], of any length; rows of length 0 or not finite have no vector.
        left, right: i64[P], rows. ok: bool[T], False where nothing was fused.
    """
    values = np.asarray(fused)
    norms = np.linalg.norm(values, axis=1)
    usable = np.isfinite(norms) & (norms > 0)
    if ok is not None:
        usable &= ok
    unit = np.zeros_like(values)
    unit[usable] = values[usable] / norms[usable, None]
    return pair_cosines(unit, left, right, usable), usable
