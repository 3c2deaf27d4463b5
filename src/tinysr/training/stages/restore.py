"""Restoration (paper section 3.3): the pruned student learns to upscale again.

Stage 1 learns the teacher's restored latents (equation A.4); stage 2 learns images (A.5). Both are
this stage, with other weights.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from tinysr.errors import UnsupportedError
from tinysr.models import OneStep, TinySR
from tinysr.models.sharing import copy_tree
from tinysr.records import StrictRecord
from tinysr.training.engine import Batch, ParameterGroup, TrainingStage
from tinysr.training.engine.stage import list_trained
from tinysr.training.evaluate import upscale_bicubic
from tinysr.training.lora import merge_adapters, with_lora
from tinysr.training.losses import excess_error, squared_error
from tinysr.training.stages.joined import with_autoencoder
from tinysr.training.stages.kind import Context, StageKind
from tinysr.training.stages.pixel_loss import ImageLoss, Weights

__all__ = ["RESTORE", "RestoreOptions", "RestoreStage"]

Part = Literal["encoder", "transformer", "decoder"]


class RestoreOptions(StrictRecord):
    """The table ``[options]`` of a restoration's config."""

    parts: tuple[Part, ...] = Field(default=("transformer",), min_length=1)
    """Parts of the model that train."""
    lora_rank: int = Field(default=0, ge=0)
    """Rank of the transformer's LoRA; 0 trains the transformer in full."""
    latents: float = Field(default=0.0, ge=0)
    """Weight of the squared distance of the restored latents from the teacher's."""
    image: Weights = Weights()
    """Weights of the losses on the upscaled image."""
    harm: float = Field(default=0.0, ge=0)
    """Weight of what the upscaled image loses against bicubic, in the log of each image's L2; what
    it gains is free. Both are held against the same target as the other losses."""
    target: Literal["truth", "taught"] = "truth"
    """Images that the output is compared with, and latents too without a teacher's: the originals,
    or an image teacher's images, which are a function of the input and so leave nothing to
    average."""
    transformer_factor: float = Field(default=1.0, ge=0)
    """Factor for the transformer's learning rate."""
    velocity_factor: float = Field(default=1.0, ge=0)
    """The same for ``proj_out``, when the transformer trains in full."""


class RestoreStage(TrainingStage):
    """The student, learning the teacher's latents or images."""

    model: TinySR
    may_skip = False

    def __init__(
        self,
        student: TinySR,
        teacher: OneStep | None,
        options: RestoreOptions,
        loss: ImageLoss,
    ) -> None:
        self._teacher, self._options, self._loss = teacher, options, loss
        self.critic = loss.critic
        self.model = student.requires_grad_(False)
        for part in options.parts:
            if part == "transformer" and options.lora_rank:
                student.transformer = with_lora(student.transformer, options.lora_rank)
                for name, parameter in student.transformer.named_parameters():
                    parameter.requires_grad_(".lora_" in name)
            else:
                student.get_submodule(part).requires_grad_(True)

    def groups(self) -> list[ParameterGroup]:
        """Return what trains, the transformer apart."""
        options, model = self._options, self.model
        velocity = list_trained(model.transformer.proj_out)
        ids = {id(parameter) for parameter in velocity}
        blocks = [p for p in list_trained(model.transformer) if id(p) not in ids]
        rows = (
            (list_trained(model.encoder) + list_trained(model.decoder), 1.0),
            (blocks, options.transformer_factor),
            (velocity, options.transformer_factor * options.velocity_factor),
        )
        return [_group(parameters, factor) for parameters, factor in rows if parameters]

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        """Return the weighted distances from the expected latents and from the expected image."""
        z = self._restore(self.model, batch.low)
        terms = {}
        if self._options.latents:
            with torch.no_grad():
                expected = self._latents(batch)
            terms["latents"] = self._options.latents * squared_error(z, expected)
        if self._options.image.compares:
            image, expected = self.model.decode(z), self._image(batch)
            terms |= self._loss.terms(image, expected, step)
            if self._options.harm:
                bicubic = upscale_bicubic(batch.low).clamp(0, 1)
                terms["harm"] = self._options.harm * excess_error(image, bicubic, expected)
        return terms

    def critic_loss(self, batch: Batch, step: int) -> Tensor:
        """Return what the critic minimises."""
        return self._loss.critic_loss(self._image(batch))

    def _latents(self, batch: Batch) -> Tensor:
        """Return what the teacher restores, or what the student codes of the expected image."""
        if self._teacher is not None:
            return self._restore(self._teacher, batch.low)
        return self.model.encode_image(self._image(batch))

    def _image(self, batch: Batch) -> Tensor:
        if self._options.target == "truth":
            return batch.high
        if batch.taught is None:
            raise UnsupportedError(
                'target = "taught" needs crops of an image teacher: give --input taught=FOLDER'
            )
        return batch.taught

    @staticmethod
    def _restore(model: OneStep, low: Tensor) -> Tensor:
        z = model.encode(low)
        return z - model.predict(z)

    def upscale(self, low: Tensor) -> Tensor:
        """Upscale by the student."""
        image: Tensor = self.model(low)
        return image

    def get_upscaler(self) -> TinySR:
        """Return the student."""
        return self.model

    def product(self) -> TinySR:
        """Return the student, its LoRA merged."""
        plain = copy_tree(self.model)
        plain.transformer = merge_adapters(self.model.transformer)
        return plain


def _group(parameters: list[torch.nn.Parameter], factor: float) -> ParameterGroup:
    return ParameterGroup(parameters=parameters, factor=lambda _step: factor)


def _make(options: RestoreOptions, context: Context) -> RestoreStage:
    student = context.model("student")
    if "vae" in context.inputs:
        student = with_autoencoder(student, context.model("vae"))
    student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    image = options.image
    if options.harm and not image.compares:
        raise UnsupportedError("harm is held beside other losses of the image: set a weight of it")
    if not options.latents and not image.compares:
        raise UnsupportedError("a restoration needs a loss: set latents, or a weight of image")
    if image.gan and not image.compares:
        raise UnsupportedError("a GAN alone ties images to nothing: set image.l1, l2 or perceptual")
    teacher = context.teacher() if options.latents and options.target == "truth" else None
    if options.latents and teacher is None and "encoder" in options.parts:
        raise UnsupportedError(
            "latents can't be learned while the encoder that makes them trains: "
            "take encoder out of parts"
        )
    return RestoreStage(student, teacher, options, ImageLoss(image, context))


RESTORE = StageKind(
    name="restore",
    options=RestoreOptions,
    make=_make,
    inputs=("teacher", "student", "vae", "taught"),
)
