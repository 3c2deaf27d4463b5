"""A run's tensors: how they start, and the average in the trained weights' place."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from tinysr.training.config import RunConfig
from tinysr.training.engine.checkpoint import RunState
from tinysr.training.engine.stage import TrainingStage, name_trained

__all__ = ["copy_into", "new_state", "use_average"]


def new_state(stage: TrainingStage, config: RunConfig) -> RunState:
    """Return a stage with fresh optimizers and the average that starts at its weights."""
    optim = config.optim
    groups = [{"params": list(g.parameters), "factor": g.factor} for g in stage.groups()]
    settings: dict[str, Any] = {"eps": optim.epsilon, "weight_decay": optim.weight_decay}
    critic = None
    if stage.critic is not None:
        critic = torch.optim.AdamW(stage.critic.parameters(), lr=optim.critic_rate, **settings)
    ema = {n: v.clone() for n, v in name_trained(stage.model).items()} if optim.ema else {}
    return RunState(
        stage=stage,
        optimizer=torch.optim.AdamW(groups, lr=0.0, **settings),
        ema=ema,
        critic_optimizer=critic,
    )


@contextlib.contextmanager
def use_average(state: RunState) -> Iterator[None]:
    """Put the averaged weights in the places of the trained ones for a while."""
    model = state.stage.model
    kept = {n: v.clone() for n, v in name_trained(model).items()} if state.ema else {}
    copy_into(model, state.ema)
    try:
        yield
    finally:
        copy_into(model, kept)


def copy_into(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Set the parameters that train to the tensors of their names."""
    own = name_trained(model)
    for name, value in tensors.items():
        own[name].copy_(value)
