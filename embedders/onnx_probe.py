"""What is seen when a model is asked once before a run: whether a face's vector depends on the rest of its batch."""

from __future__ import annotations

import numpy as np

from fraudit.types import F32, U8

_ALIKE = 0.999  # half precision and other kernels for other batches stay far above


def made_up(size: tuple[int, int]) -> U8:
    """u8[2,h,w,3]: two pictures of coloured squares, always the same."""
    coarse = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), dtype=np.uint8)
    rows, columns = (np.arange(side) * 4 // side for side in size)
    return np.ascontiguousarray(coarse[:, rows][:, :, columns])


def batch_notes(name: str, alone: F32, together: F32) -> tuple[str, ...]:
    """A note where the vector of a picture shown alone, f32[1,D], is another than with others, f32[N,D]."""
    one, other = alone[0].astype(np.float64), together[0].astype(np.float64)
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return ()
    lengths = np.linalg.norm(one) * np.linalg.norm(other)
    cosine = float(one @ other / lengths) if lengths > 0 else float(np.array_equal(one, other))
    if cosine >= _ALIKE:
        return ()
    return (
        f"{name}: the vector of a picture shown alone and shown with another are unlike (cosine {cosine:.3f}): it "
        "depends on its batch, or on chance. A model left in training mode does that; every figure here is of the "
        "batches, not of the model. Call eval() before it is used or exported.",
    )
