"""Mask learning: sample a mask, weigh it by a loss, move the logits, and anneal."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tinysr.errors import UnsupportedError
from tinysr.training.pruning.distribution import MaskDistribution
from tinysr.training.pruning.space import Kept

__all__ = ["Objective", "SearchConfig", "learn_masks"]

Objective = Callable[[Tensor, int], Tensor]
"""The loss of a mask ``[L]`` at a step; it may have weights of its own that learn along."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchConfig:
    """How masks are learned."""

    steps: int = 100_000
    """The paper's (appendix A), as are the rate and the seed."""
    rate: float = 5e-5
    """AdamW's, of the weights that learn along."""
    logit_rate: float = 5e-5
    logit_scale: float = 100.0
    """See :class:`MaskDistribution`."""
    hot: float = 4.0
    """Temperature at the start."""
    cold: float = 0.1
    """Temperature at the end."""
    samples: int = 1
    """Masks drawn for each step: more make the gradient less noisy."""
    seed: int = 80

    def __post_init__(self) -> None:
        """Refuse what can't be annealed."""
        if not 0 < self.cold <= self.hot or self.steps < 1 or self.samples < 1:
            raise UnsupportedError(
                "expected at least one step and sample, and a temperature that falls and stays "
                f"above 0: found {self.steps}, {self.samples}, {self.hot} to {self.cold}"
            )

    def temperature(self, step: int) -> float:
        """Return the temperature at ``step``: a straight line from hot to cold."""
        done = min(step / max(self.steps - 1, 1), 1.0)
        return self.hot + (self.cold - self.hot) * done


def learn_masks(
    distribution: MaskDistribution,
    objective: Objective,
    config: SearchConfig,
    *,
    parameters: Iterable[nn.Parameter] = (),
    report: Callable[[int, float], None] = lambda *_: None,
) -> Kept:
    """Optimise the distribution, and ``parameters`` with it; return the decision.

    Args:
        distribution: changed in place.
        objective: called with each sampled mask.
        config: the steps, rates and temperatures.
        parameters: weights that learn along, as a LoRA's.
        report: called with each step and its loss.
    """
    generator = torch.Generator().manual_seed(config.seed)
    groups = [
        {"params": [p for p in distribution.parameters() if p.requires_grad],
         "lr": config.logit_rate},
        {"params": list(parameters), "lr": config.rate},
    ]  # fmt: skip
    optimizer = torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=0.0)
    for step in range(config.steps):
        optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for _ in range(config.samples):
            mask = distribution.sample(config.temperature(step), generator)
            loss = objective(mask, step) / config.samples
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        optimizer.step()
        report(step, total)
    return distribution.decide()
