"""Interface of a stage of the recipe, and the batches it learns from.

A stage says what trains, what is minimised and what it hands on. The engine owns the rest:
optimizers, schedule, average, precision, processes, checkpoints, logs.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from torch import Tensor, nn

from tinysr.models import TinySR

__all__ = ["Batch", "Batches", "ParameterGroup", "Raw", "TrainingStage"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Images in [0, 1], on the device that trains."""

    low: Tensor
    """``[N, 3, h, w]``."""
    high: Tensor
    """``[N, 3, 4h, 4w]``."""
    taught: Tensor | None = None
    """An image teacher's enlargement of ``low``, ``[N, 3, 4h, 4w]``; None without a teacher."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Raw:
    """A batch as the loader makes it, before the degradation that the device computes."""

    high: Tensor
    """``[N, 3, H, W]`` in [0, 1]."""
    keys: Tensor
    """``[N, K]`` integers: the seed of each item's degradation."""
    low: Tensor | None = None
    """``[N, 3, H/4, W/4]`` in [0, 1], where it was degraded before; None elsewhere."""
    taught: Tensor | None = None
    """``[N, 3, H, W]`` in [0, 1]: an image teacher's enlargement of ``low``, where there is one."""

    def to(self, device: torch.device) -> Self:
        """Return the batch with what the device needs moved there."""

        def move(tensor: Tensor | None) -> Tensor | None:
            return None if tensor is None else tensor.to(device, non_blocking=True)

        high = self.high.to(device, non_blocking=True)
        low, taught = move(self.low), move(self.taught)
        return dataclasses.replace(self, high=high, low=low, taught=taught)


class Batches(Protocol):
    """Batches as a pure function of their step, so that a resumed run sees what it would have."""

    def load(self, step: int, part: int, parts: int) -> Raw:
        """Return every ``parts``-th item of the step's batch from ``part`` on, on the CPU."""
        ...

    def finish(self, raw: Raw) -> Batch:
        """Degrade a loaded batch, on the device that its tensors are on."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ParameterGroup:
    """Parameters that share a learning rate."""

    parameters: Sequence[nn.Parameter]
    factor: Callable[[int], float] = lambda _step: 1.0
    """Multiplies the schedule's rate at a step."""


class TrainingStage(ABC):
    """One stage: a model whose parameters with ``requires_grad`` train, and its loss.

    Whatever is random in a loss draws from a generator seeded by the step, or a resumed run would
    not end as an uninterrupted one.
    """

    model: nn.Module
    """Model on the training's device; checkpoints hold those of its parameters that train."""
    critic: nn.Module | None = None
    """The discriminator, the second player of a GAN loss."""
    may_skip: bool = True
    """Whether a step may leave some of the trained parameters without a gradient."""

    def groups(self) -> list[ParameterGroup]:
        """Return the parameters that train, by the rate they train at."""
        return [ParameterGroup(parameters=list_trained(self.model))]

    @abstractmethod
    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the weighted terms by name; their sum is minimised."""

    def critic_loss(self, batch: Batch, step: int) -> Tensor:
        """Return what the critic minimises, after :meth:`loss` of the same batch.

        Raises:
            NotImplementedError: the stage has no critic.
        """
        raise NotImplementedError

    @abstractmethod
    def upscale(self, low: Tensor) -> Tensor:
        """Map ``[1, 3, h, w]`` to ``[1, 3, 4h, 4w]`` with the model as it stands.

        A stage that trains a part only puts its teacher's parts in the places of the others.
        """

    def get_upscaler(self) -> TinySR | None:
        """Return the model if all its parts upscale together as they stand; None if not."""
        return None

    @abstractmethod
    def product(self) -> TinySR:
        """Return what the stage hands on, with the model as it stands."""

    def facts(self) -> dict[str, Any]:
        """Return what the run's record says of the product besides, JSON-ready."""
        return {}


def list_trained(module: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that train."""
    return [parameter for parameter in module.parameters() if parameter.requires_grad]


def name_trained(module: nn.Module) -> dict[str, Tensor]:
    """Return the parameters that train by their names, without their gradients' history."""
    with torch.no_grad():
        return {n: p.detach() for n, p in module.named_parameters() if p.requires_grad}
