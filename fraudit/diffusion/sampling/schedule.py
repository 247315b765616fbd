"""Variance schedules and their respacing; float64 numpy, no state.

Cosine: Nichol and Dhariwal (2021), equation 17. Linear: Ho et al. (2020), section 4.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from fraudit.errors import UsageError
from fraudit.types import F64, I64

SCHEDULES = ("cosine", "linear")
TRAIN_STEPS = 1000
MAX_BETA = 0.999


def betas_of(schedule: str, steps: int = TRAIN_STEPS) -> F64:
    """f64[steps], the variance added at each step.

    Raises:
        UsageError: an unknown schedule, or fewer than one step.
    """
    if steps < 1:
        raise UsageError(f"a schedule needs at least one step, found {steps}")
    if schedule == "linear":
        scale = 1000 / steps
        return np.linspace(scale * 1e-4, scale * 0.02, steps, dtype=np.float64)
    if schedule == "cosine":
        level = [math.cos((i / steps + 0.008) / 1.008 * math.pi / 2) ** 2 for i in range(steps + 1)]
        return np.minimum(1 - np.array(level[1:]) / np.array(level[:-1]), MAX_BETA)
    raise UsageError(f"unknown noise schedule '{schedule}'", f"known: {', '.join(SCHEDULES)}")


def respaced(steps: int, spacing: str | int | Sequence[int]) -> I64:
    """i64[K], ascending time steps that are kept out of 0..steps-1.

    Args:
        spacing: '' keeps all; 'ddimN' takes an integer stride that gives exactly N; a number, or numbers
            separated by commas, divides 0..steps-1 into that many sections of equal length and takes so
            many steps from each, first and last included.

    Raises:
        UsageError: more steps than there are, no integer stride, or text that is not a number.
    """
    if isinstance(spacing, str) and spacing.startswith("ddim"):
        wanted = _counts(spacing[4:])[0]
        for every in range(1, steps + 1):
            if len(range(0, steps, every)) == wanted:
                return np.arange(0, steps, every, dtype=np.int64)
        raise UsageError(f"no integer stride takes exactly {wanted} of {steps} steps", "use plain respacing")
    if isinstance(spacing, str) and not spacing.strip():
        return np.arange(steps, dtype=np.int64)
    counts = [spacing] if isinstance(spacing, int) else _counts(spacing)
    share, extra = divmod(steps, len(counts))
    kept: list[int] = []
    start = 0
    for section, count in enumerate(counts):
        size = share + (section < extra)
        if not 1 <= count <= size:
            raise UsageError(
                f"cannot take {count} steps from a section of {size}", f"there are {steps} steps in all"
            )
        stride = (size - 1) / (count - 1) if count > 1 else 1.0
        # Accumulated, not multiplied: the release adds the stride up, and its rounding is what is matched.
        position = 0.0
        for _ in range(count):
            kept.append(start + round(position))
            position += stride
        start += size
    return np.unique(np.array(kept, dtype=np.int64))


def _counts(spacing: str | Sequence[int]) -> list[int]:
    parts = spacing.split(",") if isinstance(spacing, str) else list(spacing)
    try:
        return [int(part) for part in parts]
    except ValueError as error:
        raise UsageError(
            f"respacing '{spacing}' is not understood", "write '', '250', 'ddim25' or '10,15,20'"
        ) from error


def respaced_betas(betas: F64, kept: I64) -> F64:
    """f64[K]: betas of the process that visits only `kept`, with the same cumulative products there."""
    cumulative = np.cumprod(1 - betas)[kept]
    return np.asarray(1 - cumulative / np.append(1.0, cumulative[:-1]))
