"""What a sampler may be asked for. Free of torch: commands check it before they load a model."""

from __future__ import annotations

import math

from fraudit.diffusion.sampling.schedule import TRAIN_STEPS
from fraudit.errors import UsageError, suggest

SAMPLERS = ("dpm++", "ddim", "ancestral")


def check_sampling(
    sampler: str,
    steps: int,
    train_steps: int = TRAIN_STEPS,
    guidance: float = 1.0,
    temperature: float = 1.0,
) -> None:
    """Raise UsageError for an unknown sampler, steps outside 1..T, guidance < 0, or temperature not in (0, 1]."""
    if sampler not in SAMPLERS:
        raise UsageError(
            f"unknown sampler '{sampler}'", f"{suggest(sampler, SAMPLERS)}known: {', '.join(SAMPLERS)}"
        )
    if not 1 <= steps <= train_steps:
        raise UsageError(
            f"steps must be between 1 and {train_steps}, found {steps}",
            "10 is the default of the fast sampler",
        )
    if not (math.isfinite(guidance) and guidance >= 0):
        raise UsageError(
            f"guidance must be a number of at least 0, found {guidance:g}", "1 is no guidance, 2 the paper's"
        )
    if not 0 < temperature <= 1:
        raise UsageError(
            f"temperature must be above 0 and at most 1, found {temperature:g}",
            "1 samples what was learned, 0.3 keeps to what is likely",
        )
