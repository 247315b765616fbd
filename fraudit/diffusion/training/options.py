"""What a training is told besides its preset."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from fraudit.errors import UsageError


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What a training is told besides its preset.

    Attributes:
        steps: optimizer steps in all.
        batch: pictures a step, over all processes.
        micro_batch: pictures a forward; 0: the whole share of a process. Smaller accumulates gradients.
        seed: of weights, noise, order and dropping.
        minutes: stop (with a checkpoint) after this time; 0: no limit.
        checkpoint_every, log_every, report_every: steps between state files, flushed losses, reports.
        attributes: attribute set, or ''.
        identity: condition on ID vectors; False trains the unconditional mode.
        device: torch device; '' takes a GPU where there is one.
        compile: torch.compile on a GPU.
        precision: `bf16` or `fp32` arithmetic; '' takes bf16 on a GPU.
    """

    steps: int
    batch: int
    micro_batch: int = 0
    seed: int = 0
    minutes: float = 0.0
    checkpoint_every: int = 500
    log_every: int = 20
    report_every: int = 1000
    attributes: str = ""
    identity: bool = True
    device: str = ""
    compile: bool = True
    precision: str = ""


PRECISIONS = ("bf16", "fp32")


def computes_in_bf16(device: torch.device, precision: str = "") -> bool:
    """Whether to compute in bfloat16; '' does on a GPU, since not every CPU gains by it.

    Raises:
        UsageError: neither '' nor one of `PRECISIONS`.
    """
    if precision not in ("", *PRECISIONS):
        raise UsageError(f"unknown precision '{precision}'", f"known: {', '.join(PRECISIONS)}")
    if precision:
        return precision == "bf16"
    return device.type == "cuda"
