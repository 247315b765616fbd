"""Condition vectors: their scale, their null vectors, and how training drops them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from fraudit.errors import DataError, UsageError
from fraudit.types import F32

IDENTITY_NULL = 0.0
ATTRIBUTE_NULL = -1.0  # 0 is a valid attribute value (supplementary material, footnote 1)


def scaled_identity(vectors: F32, dim: int, unit_scaled: bool) -> F32:
    """f32[N,dim] ID vectors as the network takes them: raw, or scaled to norm sqrt(dim).

    Raises:
        UsageError: not [N,dim].
        DataError: a vector that is zero (it means `no condition`) or not finite.
    """
    array = np.asarray(vectors, np.float32)
    if array.ndim != 2 or array.shape[1] != dim:
        raise UsageError(
            f"the inverter takes ID vectors of shape [N, {dim}], found {list(array.shape)}",
            "use the embedder the inverter was trained for",
        )
    if not np.isfinite(array).all():
        raise DataError(f"ID vector {int(np.flatnonzero(~np.isfinite(array).all(1))[0])} is not finite")
    norms = np.linalg.norm(array, axis=1, keepdims=True)
    if (norms == 0).any():
        raise DataError(
            f"ID vector {int(np.flatnonzero(norms[:, 0] == 0)[0])} is the zero vector, which means `no identity`",
            "leave out faces that could not be embedded",
        )
    return array / norms * np.float32(dim**0.5) if unit_scaled else array


def drop_conditions(
    identity: Tensor | None, attributes: Tensor | None, draw: Tensor, fraction: float
) -> tuple[Tensor | None, Tensor | None]:
    """Replace conditions by their null vectors, for classifier-free guidance (Kansy et al., equation 8).

    Each of the two is dropped in `fraction` of the samples; where there are both, they go together in half
    of these cases, so that the network also learns the fully unconditional branch.

    Args:
        draw: f32[B], uniform in [0, 1).
    """
    if identity is None or attributes is None:
        dropped = (draw < fraction)[:, None]
        if identity is not None:
            identity = torch.where(dropped, IDENTITY_NULL, identity)
        if attributes is not None:
            attributes = torch.where(dropped, ATTRIBUTE_NULL, attributes)
        return identity, attributes
    half = fraction / 2
    without_identity = (draw < 2 * half)[:, None]
    without_attributes = ((draw < half) | ((draw >= 2 * half) & (draw < 3 * half)))[:, None]
    return (
        torch.where(without_identity, IDENTITY_NULL, identity),
        torch.where(without_attributes, ATTRIBUTE_NULL, attributes),
    )
