"""The processes of a run: one, or those that torchrun starts."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from tinysr.errors import MissingBackendError, UnsupportedError

__all__ = ["DEVICES", "Player", "Team", "gather"]

DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, kw_only=True, slots=True)
class Team:
    """This process among those of the run."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def leads(self) -> bool:
        """Whether this process writes files and shows progress."""
        return self.rank == 0

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of a tensor over all processes."""
        if self.size > 1:
            dist.all_reduce(values)
            values /= self.size
        return values

    def player(
        self, module: nn.Module, loss: Callable[..., object], *, may_skip: bool
    ) -> nn.Module:
        """Return a module whose call is ``loss`` and whose gradients all processes share.

        Args:
            module: what trains.
            loss: called with a batch and a step.
            may_skip: whether a step may leave parameters without a gradient.
        """
        player = Player(module, loss)
        if self.size == 1:
            return player
        return DistributedDataParallel(
            player, forward_sync_buffers=False, find_unused_parameters=may_skip
        )

    def wait(self) -> None:
        """Return once every process has come here."""
        if self.size > 1:
            dist.barrier()


class Player(nn.Module):
    """A stage's loss as the forward of a module, which is what DistributedDataParallel wraps."""

    def __init__(self, module: nn.Module, loss: Callable[..., object]) -> None:
        super().__init__()
        self.module = module
        self._loss = loss

    def forward(self, *arguments: object) -> object:
        """Return the loss of a batch at a step."""
        return self._loss(*arguments)


@contextlib.contextmanager
def gather(device: str = "auto") -> Iterator[Team]:
    """Join the processes that torchrun started, or be the only one.

    Raises:
        UnsupportedError: the device is none of :data:`DEVICES`.
        MissingBackendError: this machine has no such device.
    """
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    chosen = _device(device)
    if size == 1:
        yield Team(device=chosen)
        return
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield Team(rank=rank, size=size, device=chosen)
        dist.barrier()  # nobody leaves while another still needs the group
    finally:
        # DistributedDataParallel is part of circles; what they keep of the group would otherwise
        # end with the interpreter, whose threads are gone by then.
        gc.collect()
        dist.destroy_process_group()


def _device(name: str) -> torch.device:
    if name not in DEVICES:
        raise UnsupportedError(f"unknown device '{name}': expected one of {', '.join(DEVICES)}")
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise MissingBackendError(
            "no CUDA device here: install PyTorch for CUDA or use --device cpu"
        )
    local = int(os.environ.get("LOCAL_RANK", "0"))
    torch.cuda.set_device(local)
    return torch.device("cuda", local)


def hold_gradients(player: nn.Module, *, until: bool) -> contextlib.AbstractContextManager[None]:
    """Hold back the exchange of gradients while parts accumulate."""
    if until or not isinstance(player, DistributedDataParallel):
        return contextlib.nullcontext()
    return cast("contextlib.AbstractContextManager[None]", player.no_sync())
