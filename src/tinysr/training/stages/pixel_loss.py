"""The losses on images that the decoder and the last stage share, the GAN's two sides included."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from tinysr.records import StrictRecord
from tinysr.training.losses import (
    PatchCritic,
    PerceptualName,
    UNetCritic,
    critic_hinge,
    fool,
    log_squared_error,
    make_perceptual,
    smooth_l1,
    squared_error,
)
from tinysr.training.stages.kind import Context

__all__ = ["FEATURES", "ImageLoss", "Weights"]

FEATURES = "features"
"""Role of LPIPS's network among a stage's inputs."""


class Weights(StrictRecord):
    """The weights of a loss on images; a weight of 0 leaves its term out."""

    l1: float = Field(default=0.0, ge=0)
    l2: float = Field(default=0.0, ge=0)
    psnr: float = Field(default=0.0, ge=0)
    """Weight of the log of each image's L2, which mean PSNR is the mean of."""
    gradient: float = Field(default=0.0, ge=0)
    """Weight, within L1, of the differences of neighbouring pixels."""
    perceptual: float = Field(default=0.0, ge=0)
    gan: float = Field(default=0.0, ge=0)
    perceptual_loss: PerceptualName = "lpips"
    """LPIPS, whose network is the input ``features``, or a stand-in by its name."""
    critic: Literal["patch", "unet"] = "patch"
    """The discriminator: one verdict for a patch of 8², or a U-Net's for each pixel."""
    gan_start: int = Field(default=0, ge=0)
    """Step from which the discriminator counts; it learns from the first step on."""
    gan_rise: int = Field(default=1, ge=1)
    """Steps over which its weight rises from 0, from its start on."""
    critic_width: int = Field(default=32, ge=1)
    """Channels of the discriminator's first convolution."""

    def gan_at(self, step: int) -> float:
        """Return the weight of the GAN's term at a step."""
        risen = (step - self.gan_start + 1) / self.gan_rise
        return self.gan * min(max(risen, 0.0), 1.0)

    @property
    def compares(self) -> bool:
        """Whether a term holds the image against the truth."""
        return bool(self.l1 or self.l2 or self.psnr or self.perceptual)


class ImageLoss:
    """The weighted terms of an image, and the critic's own loss of the same image."""

    critic: nn.Module | None

    def __init__(self, weights: Weights, context: Context) -> None:
        """Make what the weights call for.

        Raises:
            UnsupportedError: LPIPS is asked for without its network.
            CheckpointError: the network can't be used.
        """
        self._weights = weights
        self.critic = None
        self._perceptual: nn.Module | None = None
        if weights.perceptual:
            loss = make_perceptual(weights.perceptual_loss, context.inputs.get(FEATURES))
            self._perceptual = loss.to(context.device)
        if weights.gan:
            kind = UNetCritic if weights.critic == "unet" else PatchCritic
            self.critic = kind(weights.critic_width, context.seed).to(context.device)
        self._fake: Tensor | None = None

    def terms(self, image: Tensor, truth: Tensor, step: int = 0) -> dict[str, Tensor]:
        """Return the weighted terms of ``[N, 3, H, W]`` in about [0, 1], by name."""
        weights, terms = self._weights, {}
        if weights.l1:
            terms["l1"] = weights.l1 * smooth_l1(image, truth, weights.gradient)
        if weights.l2:
            terms["l2"] = weights.l2 * squared_error(image, truth)
        if weights.psnr:
            terms["psnr"] = weights.psnr * log_squared_error(image, truth)
        if self._perceptual is not None:
            terms["perceptual"] = weights.perceptual * self._perceptual(image.float(), truth)
        if self.critic is not None:
            terms["gan"] = weights.gan_at(step) * fool(self.critic(image))
            self._fake = image.detach()
        return terms

    def critic_loss(self, truth: Tensor) -> Tensor:
        """Return the critic's loss of the image that :meth:`terms` saw last."""
        if self.critic is None or self._fake is None:
            raise NotImplementedError
        fake, self._fake = self._fake, None
        return critic_hinge(self.critic, truth, fake)
