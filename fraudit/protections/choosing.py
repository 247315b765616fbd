"""Schemes by name and parameters, and what they answer looked at before it is used."""

from __future__ import annotations

import numpy as np

from fraudit.errors import PluginError, UsageError
from fraudit.plugins import PROTECTIONS
from fraudit.protections.base import checked_key
from fraudit.types import F32, ProtectionPlugin


def choose_scheme(text: str) -> ProtectionPlugin:
    """The scheme `name` or `name:parameter=value:...`, such as `polyprotect:overlap=2`.

    Raises:
        PluginError: an unknown scheme (the nearest one is suggested). UsageError: an unknown parameter or value.
    """
    name, *parts = text.strip().split(":")
    plugin = PROTECTIONS.get(name)
    given: dict[str, float] = {}
    for part in parts:
        key, sign, value = part.partition("=")
        try:
            if not sign:
                raise ValueError
            given[key.strip()] = float(value)
        except ValueError:
            raise UsageError(
                f"scheme '{text}': expected parameter=number after the colon, found '{part}'",
                "as in polyprotect:overlap=2",
            ) from None
    if not given:
        return plugin
    if plugin.configure is None:
        raise UsageError(f"the protection scheme '{name}' takes no parameters, found '{':'.join(parts)}'")
    return plugin.configure(**given)


def protected(scheme: ProtectionPlugin, vectors: F32, key: int) -> F32:
    """f32[N,E] templates of f32[N,D] unit vectors.

    Raises:
        UsageError: a key out of range. DataError: vectors that the scheme cannot take.
        PluginError: the scheme answers with another number of rows, or values that are not finite.
    """
    found = np.asarray(scheme.protect(np.asarray(vectors, np.float32), checked_key(key)), np.float32)
    if found.ndim != 2 or len(found) != len(vectors) or not np.isfinite(found).all():
        raise PluginError(
            f"the protection scheme '{scheme.name}' answered {found.shape} for {len(vectors)} vectors"
            f"{'' if np.isfinite(found).all() else ', not all of it finite'}; expected [{len(vectors)}, E], finite",
            "protect(vectors f32[N,D], key) -> f32[N,E]",
        )
    return found


def scored(scheme: ProtectionPlugin, a: F32, b: F32) -> F32:
    """f32[N] scores of f32[N,E] templates, row by row. Raises PluginError on another shape or values not finite."""
    found = np.asarray(scheme.score(a, b), np.float32)
    if found.shape != (len(a),) or not np.isfinite(found).all():
        raise PluginError(
            f"the protection scheme '{scheme.name}' scored {len(a)} pairs with an array {found.shape}; expected "
            f"[{len(a)}], finite",
            "score(a f32[N,E], b f32[N,E]) -> f32[N]",
        )
    return found
