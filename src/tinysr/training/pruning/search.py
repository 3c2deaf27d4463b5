"""Mask learning: sample a mask, weigh it by a loss, move the logits, and anneal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from tinysr.errors import UnsupportedError
from tinysr.training.pruning.distribution import MaskDistribution
from tinysr.training.pruning.space import KeptLayers

__all__ = ["Annealing", "Objective", "SearchConfig", "learn_masks"]

Objective = Callable[[Tensor, int], Tensor]
"""The loss of a mask ``[L]`` at a step."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Annealing:
    """A temperature that falls on a straight line, then stays."""

    steps: int
    hot: float = 4.0
    cold: float = 0.1
    """TinyFusion's temperatures; the paper names none."""

    def __post_init__(self) -> None:
        """Refuse what can't be annealed."""
        if not 0 < self.cold <= self.hot or self.steps < 1:
            raise UnsupportedError(
                "expected at least one step, and a temperature that falls and stays above 0: "
                f"found {self.steps} steps from {self.hot:g} to {self.cold:g}"
            )

    def temperature(self, step: int) -> float:
        """Return the temperature at ``step``."""
        return self.hot + (self.cold - self.hot) * min(step / max(self.steps - 1, 1), 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchConfig:
    """How masks alone are learned, for a loss that is a function of them."""

    annealing: Annealing
    rate: float = 0.05
    seed: int = 80


def learn_masks(
    distribution: MaskDistribution, objective: Objective, config: SearchConfig
) -> KeptLayers:
    """Optimise a distribution in place for a loss of its samples; return the decision.

    Weights that learn along need the engine: see :mod:`tinysr.training.stages.prune`.
    """
    generator = torch.Generator().manual_seed(config.seed)
    logits = [p for p in distribution.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(logits, lr=config.rate, weight_decay=0.0)
    for step in range(config.annealing.steps):
        optimizer.zero_grad(set_to_none=True)
        mask = distribution.sample(config.annealing.temperature(step), generator)
        objective(mask, step).backward()
        optimizer.step()
    return distribution.decide()
