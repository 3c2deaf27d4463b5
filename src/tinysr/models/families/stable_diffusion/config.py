"""Configuration of PiSA-SR and OSEDiff: what a model is made of, as frozen data within bounds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinysr.errors import CheckpointError
from tinysr.models.configs import check_integer, check_widths, read_fields
from tinysr.models.layers.autoencoder_kl import KlConfig
from tinysr.models.layers.unet2d import UnetConfig

__all__ = ["OSEDIFF", "PISA_SR", "PRESETS", "StableDiffusionConfig"]

PISA_SR = "pisa-sr"
OSEDIFF = "osediff"
"""Names of the families, which are those of their presets too."""

_FAMILIES = (PISA_SR, OSEDIFF)

# A hostile config must not make us allocate: these are far above any model of these families.
_MOST_BLOCKS = 8
_MOST_TOKENS = 1024
_MOST_CHANNELS = 8192
_TIMES = 1000
"""Steps of the schedule that Stable Diffusion was trained with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StableDiffusionConfig:
    """A whole model; the defaults are Stable Diffusion 2.1's, which both start from.

    Raises:
        CheckpointError: a value is of the wrong type, absurd, or contradicts another.
    """

    family: str
    """Name of the family, which says what the step is: PiSA-SR subtracts what the UNet gives,
    OSEDiff takes it for the noise in the latents."""
    timestep: int
    """Time that the UNet is told: 1 in PiSA-SR, 999 in OSEDiff."""
    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    """Channels of the UNet's levels."""
    head_size: int = 64
    """Channels of an attention head of the UNet."""
    blocks: int = 2
    """Residual blocks of each level of the UNet on the way down; on the way up there is one
    more."""
    groups: int = 32
    """Groups of every GroupNorm of the UNet."""
    tokens: int = 77
    """Tokens of the one fixed prompt, padding included: all of them count."""
    text: int = 1024
    """Channels of a token."""
    vae_widths: tuple[int, ...] = (128, 256, 512, 512)
    """Channels of the autoencoder's levels, from the image to the latents."""
    vae_blocks: int = 2
    """Residual blocks of each level of its encoder; the decoder has one more."""
    vae_groups: int = 32
    """Groups of every GroupNorm of the autoencoder."""
    latent_channels: int = 4
    scaling_factor: float = 0.18215
    """Multiplies the encoder's latents, and divides them again before the decoder."""
    scale: int = 4
    """Sides of the result over those of the image, which is enlarged before."""

    def __post_init__(self) -> None:
        """Check all values."""
        if self.family not in _FAMILIES:
            names = " or ".join(repr(name) for name in _FAMILIES)
            raise CheckpointError(f"the family is {self.family!r:.80}, expected {names}")
        for name, low, high in (
            ("timestep", 0, _TIMES - 1),
            ("head_size", 1, 256),
            ("blocks", 1, _MOST_BLOCKS),
            ("groups", 1, 64),
            ("tokens", 1, _MOST_TOKENS),
            ("text", 1, _MOST_CHANNELS),
            ("vae_blocks", 1, _MOST_BLOCKS),
            ("vae_groups", 1, 64),
            ("latent_channels", 1, 64),
            ("scale", 1, 16),
        ):
            check_integer(name, getattr(self, name), low, high)
        self._check_factor()
        divisor = math.lcm(self.head_size, self.groups)
        check_widths("widths", self.widths, divisor, "head_size and groups")
        check_widths("vae_widths", self.vae_widths, self.vae_groups, "vae_groups")
        if self.downscale % self.scale:
            raise CheckpointError(
                f"vae_widths has {len(self.vae_widths)} levels, whose latents have "
                f"{self.downscale} pixels a side: expected a multiple of scale ({self.scale})"
            )

    def _check_factor(self) -> None:
        factor = self.scaling_factor
        if type(factor) is not float or not 1e-3 <= factor <= 1e3:
            raise CheckpointError(
                f"scaling_factor is {factor!r:.80}, expected a number from 0.001 to 1000"
            )

    @property
    def downscale(self) -> int:
        """Sides of the result over those of its latents."""
        return int(2 ** (len(self.vae_widths) - 1))

    @property
    def kl(self) -> KlConfig:
        """Configuration of the autoencoder."""
        return KlConfig(
            widths=self.vae_widths,
            blocks=self.vae_blocks,
            latent_channels=self.latent_channels,
            groups=self.vae_groups,
            scaling_factor=self.scaling_factor,
        )

    @property
    def unet(self) -> UnetConfig:
        """Configuration of the UNet."""
        last = len(self.widths) - 1
        return UnetConfig(
            inputs=self.latent_channels,
            outputs=self.latent_channels,
            widths=self.widths,
            heads=tuple(width // self.head_size for width in self.widths),
            attended=(*[True] * last, False),
            blocks=self.blocks,
            groups=(self.groups,),
            text=self.text,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StableDiffusionConfig:
        """Rebuild a config from :meth:`to_dict`'s data, lists for tuples or not.

        Raises:
            CheckpointError: a field is missing or unknown, or its value is refused.
        """
        return read_fields(cls, data)


PRESETS: dict[str, StableDiffusionConfig] = {
    PISA_SR: StableDiffusionConfig(family=PISA_SR, timestep=1),
    OSEDIFF: StableDiffusionConfig(family=OSEDIFF, timestep=999),
}
"""Configurations by name. None has public weights here: they load with seeded ones."""
