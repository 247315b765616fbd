"""On which device a torch network runs."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

from fraudit.errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch import nn

    Module = TypeVar("Module", bound=nn.Module)


def device_name(asked: str = "") -> str:
    """`asked`, else $FRAUDIT_DEVICE, else a GPU where torch finds one, else the CPU."""
    named = asked or os.environ.get("FRAUDIT_DEVICE", "")
    if named:
        return named
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def torch_device(asked: str = "") -> torch.device:
    """The device of `device_name`, on which a number was made.

    Raises:
        UsageError: torch has no such device here.
    """
    import torch

    name = device_name(asked)
    try:
        return torch.zeros(1, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first = str(error).splitlines()[0]
        raise UsageError(
            f"device '{name}' cannot be used: {first:.200}", "cpu, or cuda where torch sees a GPU"
        ) from error


def channels_last(network: Module, device: torch.device | str | None = None) -> Module:
    """The network on `device` (None: where it is), its weights in the memory format that convolutions are fastest in.

    Raises:
        RuntimeError, AssertionError: torch has no such device.
    """
    import torch

    return network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
