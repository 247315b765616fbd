"""The processes that share a training: those of torchrun, or one alone."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
from torch import Tensor

from fraudit.embedding.devices import torch_device


class DistributedProcesses:
    """This process among those of torchrun; alone where there is no torchrun."""

    def __init__(self, device: str = "") -> None:
        self.world = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        local = int(os.environ.get("LOCAL_RANK", "0"))
        if not device:
            device = f"cuda:{local}" if torch.cuda.is_available() else "cpu"
        self.device = torch_device(device)
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)
        self._started = False
        if self.world > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
            self._started = True

    @property
    def first(self) -> bool:
        """Whether this process writes and reports."""
        return self.rank == 0

    def wait(self) -> None:
        """Until every process is here."""
        if self.world > 1:
            dist.barrier()

    def mean(self, values: Tensor) -> Tensor:
        """Mean of `values` over the processes."""
        if self.world > 1:
            dist.all_reduce(values)
            values = values / self.world
        return values

    def agree(self, value: bool) -> bool:
        """The first process' `value`, everywhere."""
        if self.world == 1:
            return value
        flag = torch.tensor([float(value)], device=self.device)
        dist.broadcast(flag, 0)
        return bool(flag.item())

    def close(self) -> None:
        """Leave the group that this object joined."""
        if self._started:
            dist.destroy_process_group()
