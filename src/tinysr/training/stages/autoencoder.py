"""The autoencoder of sharp images: what its latents hold, the transformer has to predict.

An autoencoder that has seen sharp images alone can't restore a blurred one: its latents of that are
those of a blurred image. Held still, it leaves all restoration to the transformer (paper, section
3.3: the student learns the latents of what its teacher restored).
"""

from __future__ import annotations

import torch
from torch import Tensor

from tinysr.models import ModelConfig, TinySR, TransformerConfig
from tinysr.records import StrictRecord
from tinysr.training.engine import Batch, TrainingStage
from tinysr.training.init import initialise
from tinysr.training.stages.joined import with_autoencoder
from tinysr.training.stages.kind import Context, StageKind
from tinysr.training.stages.pixel_loss import ImageLoss, Weights
from tinysr.training.stages.shapes import ModelShape

__all__ = ["AUTOENCODER", "AutoencoderOptions", "AutoencoderStage"]


VAE = "vae"
"""Role of the model whose encoder and decoder it starts from; without one they start wired."""


class AutoencoderOptions(StrictRecord):
    """The table ``[options]`` of an autoencoder's config."""

    model: ModelShape
    """The whole model's shape: its transformer starts here, and trains later."""
    image: Weights = Weights(l1=1.0, gradient=0.1)
    """Weights of the losses on the decoded image, held against what was encoded."""


class AutoencoderStage(TrainingStage):
    """Encoder and decoder, learning to code originals and an image teacher's images alike."""

    model: TinySR
    may_skip = False

    def __init__(self, model: TinySR, loss: ImageLoss) -> None:
        self.model, self._loss, self.critic = model, loss, loss.critic
        model.requires_grad_(False)
        model.encoder.requires_grad_(True)
        model.decoder.requires_grad_(True)

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the distance of the decoded images from those that were encoded."""
        image = _mix_targets(batch)
        decoded = self.model.decode(self.model.encode_image(image))
        return self._loss.terms(decoded, image, step)

    def critic_loss(self, batch: Batch, step: int) -> Tensor:
        """Return what the critic minimises."""
        return self._loss.critic_loss(_mix_targets(batch))

    def upscale(self, low: Tensor) -> Tensor:
        """Code the bicubic image: nothing restores it yet."""
        return self.model.decode(self.model.encode(low))

    def product(self) -> TinySR:
        """Return the model, its transformer untrained."""
        return self.model


def _mix_targets(batch: Batch) -> Tensor:
    """Return every other original, and the teacher's images in the places of the rest."""
    if batch.taught is None:
        return batch.high
    return torch.cat([batch.high[0::2], batch.taught[1::2]])


def _make(options: AutoencoderOptions, context: Context) -> AutoencoderStage:
    transformer = TransformerConfig(
        depth=options.model.depth,
        heads=options.model.heads,
        pooled_size=options.model.pooled_size,
    )
    model = initialise(
        TinySR(ModelConfig(vae=options.model.vae(), transformer=transformer)), context.seed
    )
    if VAE in context.inputs:
        model = with_autoencoder(model, context.model(VAE))
    with torch.no_grad():
        # v starts at nothing: the pattern that it carries for the wiring is no part of a code.
        model.transformer.proj_out.bias.zero_()
    model.to(context.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return AutoencoderStage(model, ImageLoss(options.image, context))


AUTOENCODER = StageKind(
    name="autoencoder", options=AutoencoderOptions, make=_make, inputs=("taught", VAE)
)
