"""A training run as frozen data: with the code's version, it determines the weights."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinysr.errors import CheckpointError

__all__ = ["RECIPES", "Phase", "TrainConfig"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Phase:
    """A stretch of the run with one size of patch and one precision."""

    share: float
    """Of the run's steps; the shares of all phases add up to 1."""
    patch: int
    """Side of a high-resolution patch, in pixels."""
    batch: int
    bfloat16: bool = True
    """Whether to compute in bfloat16 where autocast would, in less than half the time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainConfig:
    """What a run does. Two runs with equal configs see the same images in the same order."""

    preset: str = "tinysr-nano"
    seed: int = 80
    steps: int = 5_000
    phases: tuple[Phase, ...] = (
        Phase(share=0.70, patch=128, batch=4),
        Phase(share=0.10, patch=256, batch=2),
        # Weights that compensate for their own rounding to bfloat16 leave an offset in float32.
        Phase(share=0.12, patch=128, batch=4, bfloat16=False),
        Phase(share=0.07, patch=256, batch=2, bfloat16=False),
        # Attention sees 1024 tokens, a whole tile's, before the end.
        Phase(share=0.01, patch=512, batch=2, bfloat16=False),
    )
    learning_rate: float = 3e-4
    """At its peak; a cosine takes it to ``final_rate``."""
    final_rate: float = 3e-6
    warmup: int = 200
    """Steps over which the rate rises from 0."""
    transformer_start: float = 0.1
    """Share of the steps before the transformer learns, from its own warm-up on. While the
    autoencoder still has errors that a constant mends, its features are only pulled flat."""
    transformer_factor: float = 0.1
    """Factor for the transformer's weights. A token's features have a large constant part, along
    which Adam's equal steps add up over all inputs: at the full rate v only overshoots."""
    velocity_factor: float = 0.05
    """The same for ``proj_out``, whose steps are v's own."""
    modulation_factor: float = 0.02
    """The same for the time, text and modulation linears: all of their one input is constant."""
    weight_decay: float = 1e-4
    clip: float = 1.0
    """Largest norm of all gradients together."""
    ema: float = 0.998
    gradient_loss: float = 0.1
    """Weight of the loss on the differences of neighbouring pixels: it keeps edges sharp."""
    vivid: float = 0.35
    """Share of the patches with strong colours; without them red things turn out orange."""
    image_side: int = 512
    pool: int = 96
    """Synthetic images that are in use at a time."""
    refresh: int = 16
    """Steps after which the pool's oldest image makes way for a new one."""

    def __post_init__(self) -> None:
        """Check what would otherwise fail hours later."""
        if not math.isclose(sum(phase.share for phase in self.phases), 1):
            raise CheckpointError("the shares of the training phases must add up to 1")
        if any(phase.patch > self.image_side or phase.patch % 16 for phase in self.phases):
            raise CheckpointError(
                f"patches must divide by 16 and fit an image of {self.image_side} pixels"
            )

    def phase(self, step: int) -> Phase:
        """Return the phase that ``step`` lies in."""
        end = 0.0
        for phase in self.phases:
            end += phase.share * self.steps
            if step < round(end):
                return phase
        return self.phases[-1]

    def rate(self, step: int) -> float:
        """Return the learning rate at ``step``: a linear rise, then a cosine."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(self.steps - self.warmup, 1)
        fall = 0.5 * (1 + math.cos(math.pi * min(done, 1)))
        return self.final_rate + (self.learning_rate - self.final_rate) * fall

    def transformer_rate(self, step: int) -> float:
        """Return the learning rate at ``step`` that the transformer's factors apply to."""
        since = step - round(self.transformer_start * self.steps)
        return self.rate(step) * min(max((since + 1) / self.warmup, 0), 1)

    def to_json(self) -> str:
        """Return the config as JSON text."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> TrainConfig:
        """Rebuild a config from its JSON data.

        Raises:
            CheckpointError: a field is unknown or missing.
        """
        try:
            fields = dict(data)
            phases = tuple(Phase(**phase) for phase in fields.pop("phases"))
            return cls(phases=phases, **fields)
        except (KeyError, TypeError) as error:
            raise CheckpointError(
                f"the training config does not fit this version: {error}"
            ) from error


RECIPES: dict[str, TrainConfig] = {"nano": TrainConfig()}
"""What ``tinysr train`` offers, by name."""
