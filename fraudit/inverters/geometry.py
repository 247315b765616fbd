"""Where the face lies in every picture an inverter makes, shared by all inverters.

The picture is the ArcFace 112x112 crop with a margin of 16 pixels on each side (a 144x144 canvas), scaled to
S x S. The margin leaves room for re-embedders whose template shows more of the head than ArcFace's does;
they align by the declared points, so no detector has to run on a small synthetic face.
"""

from __future__ import annotations

import numpy as np

from fraudit.errors import UsageError
from fraudit.types import ARCFACE_112, F32

CANVAS_PX = 144
MARGIN_PX = 16
BASE_SIZE_PX = 64


def landmarks_of(size_px: int) -> F32:
    """f32[5,2], x then y: where the five points lie in an inverter's `size_px` x `size_px` picture.

    Raises:
        UsageError: `size_px` < 8.
    """
    if size_px < 8:
        raise UsageError(f"an inverter's picture needs at least 8 pixels a side, found {size_px}")
    return ((ARCFACE_112.astype(np.float64) + MARGIN_PX) * (size_px / CANVAS_PX)).astype(np.float32)


TEMPLATE_NAME = "arcface-112-margin-16"
