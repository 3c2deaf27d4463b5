"""The nano teacher: twice the blocks, a wider autoencoder of standard convolutions.

It is the stand-in for TSD-SR where nobody has that checkpoint: time conditioning and modulation
are there, and the pooled text is a constant zero vector. It learns from pixels, from a start that
is wired to interpolate (:mod:`tinysr.training.wiring`).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from pydantic import Field
from torch import Tensor, nn

from tinysr.models import TinySR
from tinysr.records import StrictRecord
from tinysr.training.engine import Batch, ParameterGroup, TrainingStage
from tinysr.training.init import initialise
from tinysr.training.stages.kind import Context, StageKind
from tinysr.training.stages.pixel_loss import ImageLoss, Weights
from tinysr.training.stages.shapes import ModelShape

__all__ = ["TEACHER", "TeacherOptions", "TeacherStage"]

_MODULATION = ("time_text_embed", "norm1.linear", "norm_out.linear")
"""Parts of the names of the parameters that train at ``modulation_factor``."""

_VELOCITY = "transformer.proj_out.weight"

_PATTERN = "transformer.proj_out.bias"
"""The wiring's phase pattern: it works, and learns, with the decoder."""


class TeacherOptions(StrictRecord):
    """The table ``[options]`` of a teacher's config."""

    model: ModelShape
    image: Weights = Weights(l1=1.0, gradient=0.1)
    """Weights of the losses on the upscaled image."""
    transformer_start: int = Field(default=0, ge=0)
    """Step from which the transformer learns. While the autoencoder still has errors that a
    constant mends, the transformer's features are only pulled flat."""
    transformer_warmup: int = Field(default=1, ge=1)
    """Steps over which the transformer's rate rises from 0, from its start on."""
    transformer_factor: float = Field(default=1.0, ge=0)
    """Factor for the transformer's rate. A token's features have a large constant part, along
    which Adam's equal steps add up over all inputs: at the full rate v only overshoots."""
    velocity_factor: float = Field(default=1.0, ge=0)
    """The same for ``proj_out``, whose steps are v's own."""
    modulation_factor: float = Field(default=1.0, ge=0)
    """The same for the time, text and modulation linears: all of their one input is constant."""


class TeacherStage(TrainingStage):
    """The whole model, learning from pixels."""

    model: TinySR
    may_skip = False

    def __init__(self, model: TinySR, options: TeacherOptions, loss: ImageLoss) -> None:
        self.model, self._options, self._loss = model, options, loss
        self.critic = loss.critic

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the distances of the upscaled image from the truth."""
        return self._loss.terms(self.model(batch.low), batch.high, step)

    def critic_loss(self, batch: Batch, step: int) -> Tensor:
        """Return what the critic minimises."""
        return self._loss.critic_loss(batch.high)

    def upscale(self, low: Tensor) -> Tensor:
        """Upscale by the model alone."""
        image: Tensor = self.model(low)
        return image

    def get_upscaler(self) -> TinySR:
        """Return the model."""
        return self.model

    def product(self) -> TinySR:
        """Return the model."""
        return self.model

    def groups(self) -> list[ParameterGroup]:
        """Return the parameters by what they are part of."""
        options = self._options
        factors = {
            "autoencoder": lambda _step: 1.0,
            "transformer": self._delay(options.transformer_factor),
            "velocity": self._delay(options.velocity_factor),
            "modulation": self._delay(options.modulation_factor),
        }
        rows: dict[str, list[nn.Parameter]] = {kind: [] for kind in factors}
        for name, parameter in self.model.named_parameters():
            rows[_kind(name)].append(parameter)
        return [
            ParameterGroup(parameters=rows[kind], factor=factor) for kind, factor in factors.items()
        ]

    def _delay(self, factor: float) -> Callable[[int], float]:
        """Return a factor that is 0 until the transformer's start and rises from there."""
        start, warmup = self._options.transformer_start, self._options.transformer_warmup
        return lambda step: factor * min(max((step - start + 1) / warmup, 0.0), 1.0)


def _kind(name: str) -> str:
    if not name.startswith("transformer.") or name == _PATTERN:
        return "autoencoder"
    if any(part in name for part in _MODULATION):
        return "modulation"
    return "velocity" if name == _VELOCITY else "transformer"


def _make(options: TeacherOptions, context: Context) -> TeacherStage:
    model = initialise(TinySR(options.model.config()), context.seed)
    model.to(context.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return TeacherStage(model, options, ImageLoss(options.image, context))


TEACHER = StageKind(name="teacher", options=TeacherOptions, make=_make)
