"""VAE compression (paper section 3.2, appendix A): a narrow autoencoder in the teacher's place.

First the encoder learns the teacher's latents of low-quality images. Then the decoder learns
images from the teacher's latents. The transformer stays the teacher's.

Latents are z as the teacher's transformer takes them, its autoencoder's scale applied; the
student's own scale is 1.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tinysr.models import ModelConfig, OneStep, TinySR
from tinysr.models.sharing import copy_tree
from tinysr.records import StrictRecord
from tinysr.training.engine import Batch, TrainingStage
from tinysr.training.init import initialise_autoencoder
from tinysr.training.losses import squared_error
from tinysr.training.stages.kind import Context, StageKind
from tinysr.training.stages.pixel_loss import ImageLoss, Weights
from tinysr.training.stages.shapes import Autoencoder

__all__ = ["VAE_DECODER", "VAE_ENCODER", "DecoderStage", "EncoderStage"]


class EncoderOptions(StrictRecord):
    """The table ``[options]`` of an encoder's config."""

    model: Autoencoder


class DecoderOptions(StrictRecord):
    """The table ``[options]`` of a decoder's config."""

    latents: Literal["encoded", "restored"] = "encoded"
    """Latents that the decoder learns from: the teacher's latents of the truth, as in the paper, or
    those that its transformer restores. A teacher that was trained from pixels alone, as the nano
    one, need not give the truth and the restored image the same latents."""
    loss: Weights


class EncoderStage(TrainingStage):
    """The student's encoder, learning the teacher's latents."""

    model: TinySR
    may_skip = False

    def __init__(self, student: TinySR, teacher: OneStep) -> None:
        self.model, self._teacher = student, teacher
        student.requires_grad_(False)
        student.encoder.requires_grad_(True)

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the squared distance of the latents of the low-resolution image."""
        with torch.no_grad():
            expected = self._teacher.encode(batch.low)
        return {"latents": squared_error(self.model.encode(batch.low), expected)}

    def upscale(self, low: Tensor) -> Tensor:
        """Upscale by the student's encoder and the teacher's other parts."""
        z = self.model.encode(low)
        return self._teacher.decode(z - self._teacher.predict(z))

    def product(self) -> TinySR:
        """Return the student, its transformer the teacher's and its decoder untrained."""
        return self.model


class DecoderStage(TrainingStage):
    """The student's decoder, learning images from the teacher's latents."""

    model: TinySR
    may_skip = False

    def __init__(
        self, student: TinySR, teacher: OneStep, options: DecoderOptions, loss: ImageLoss
    ) -> None:
        self.model, self._teacher = student, teacher
        self._options, self._loss, self.critic = options, loss, loss.critic
        student.requires_grad_(False)
        student.decoder.requires_grad_(True)

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the distance of the decoded image from the truth."""
        with torch.no_grad():
            z = self._latents(batch)
        return self._loss.terms(self.model.decode(z), batch.high, step)

    def critic_loss(self, batch: Batch, step: int) -> Tensor:
        """Return what the critic minimises."""
        return self._loss.critic_loss(batch.high)

    def _latents(self, batch: Batch) -> Tensor:
        if self._options.latents == "restored":
            return self._restore(batch.low)
        return self._teacher.encode_image(batch.high)

    def _restore(self, low: Tensor) -> Tensor:
        z = self._teacher.encode(low)
        return z - self._teacher.predict(z)

    def upscale(self, low: Tensor) -> Tensor:
        """Upscale by the student's decoder and the teacher's other parts."""
        return self.model.decode(self._restore(low))

    def product(self) -> TinySR:
        """Return the student, its transformer the teacher's."""
        return self.model


def _make_encoder(options: EncoderOptions, context: Context) -> EncoderStage:
    teacher = context.teacher()
    config = ModelConfig(
        vae=options.model.vae(teacher.config.transformer.latent_channels),
        transformer=teacher.config.transformer,
        timestep=teacher.config.timestep,
    )
    with torch.device("meta"):
        student = TinySR(config)
    for part in (student.encoder, student.decoder):
        part.to_empty(device="cpu")
    initialise_autoencoder(student, context.seed)
    # The teacher's very tensors: neither trains, and at full size a copy is gigabytes.
    student.transformer, student.pooled = copy_tree(teacher.transformer), teacher.pooled
    student.to(context.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return EncoderStage(student, teacher)


def _make_decoder(options: DecoderOptions, context: Context) -> DecoderStage:
    student = context.model("student")
    student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    loss = ImageLoss(options.loss, context)
    return DecoderStage(student, context.teacher(), options, loss)


VAE_ENCODER = StageKind(
    name="vae-encoder", options=EncoderOptions, make=_make_encoder, inputs=("teacher",)
)
VAE_DECODER = StageKind(
    name="vae-decoder", options=DecoderOptions, make=_make_decoder, inputs=("teacher", "student")
)
