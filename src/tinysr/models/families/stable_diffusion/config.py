"""Configuration of PiSA-SR, OSEDiff and TOC-SR: what a model is made of, within bounds."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinysr.errors import CheckpointError
from tinysr.models.configs import check_integer, check_number, check_widths, read_fields
from tinysr.models.layers.autoencoder_kl import KlConfig
from tinysr.models.layers.unet2d import UnetConfig

__all__ = ["OSEDIFF", "PISA_SR", "PRESETS", "TOC_SR", "StableDiffusionConfig"]

PISA_SR = "pisa-sr"
OSEDIFF = "osediff"
TOC_SR = "toc-sr"
"""Names of the families, which are those of their presets too."""

_FAMILIES = (PISA_SR, OSEDIFF, TOC_SR)

# A hostile config must not make us allocate: these are far above any model of these families.
_MOST_BLOCKS = 8
_MOST_TOKENS = 1024
_MOST_CHANNELS = 8192
_TIMES = 1000
"""Steps of the schedule that Stable Diffusion was trained with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StableDiffusionConfig:
    """A whole model; the defaults are Stable Diffusion 2.1's, which two of them start from.

    Raises:
        CheckpointError: a value is of the wrong type, absurd, or contradicts another.
    """

    family: str
    """Name of the family, which says what the step is: PiSA-SR subtracts what the UNet gives,
    OSEDiff takes it for the noise in the latents, TOC-SR says neither and has ``factors``."""
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
    down: tuple[tuple[bool, ...], ...] | None = None
    """Levels of the UNet, and in each its residual blocks on the way down: true where a
    transformer follows. None for ``blocks`` of them, with transformers on all levels but the
    last."""
    up: tuple[tuple[bool, ...], ...] | None = None
    """Likewise on the way up, where each level has one block more."""
    middle: int = 1
    """Transformers of the UNet's middle, each between two residual blocks."""
    factors: tuple[float, float] | None = None
    """TOC-SR's step: what the latents and what the UNet gives are multiplied by, before the second
    is subtracted; None for the others."""
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
            ("middle", 0, _MOST_BLOCKS),
        ):
            check_integer(name, getattr(self, name), low, high)
        self._check_factors()
        divisor = math.lcm(self.head_size, self.groups)
        check_widths("widths", self.widths, divisor, "head_size and groups")
        check_widths("vae_widths", self.vae_widths, self.vae_groups, "vae_groups")
        if self.downscale % self.scale:
            raise CheckpointError(
                f"vae_widths has {len(self.vae_widths)} levels, whose latents have "
                f"{self.downscale} pixels a side: expected a multiple of scale ({self.scale})"
            )

        self._check_ways()

    def _check_ways(self) -> None:
        """Refuse lists of blocks that no UNet has."""
        if (self.down is None) != (self.up is None):
            raise CheckpointError("expected both down and up, or neither, found one of them")
        if self.down is None or self.up is None:
            return
        for name, levels in (("down", self.down), ("up", self.up)):
            if not isinstance(levels, tuple) or len(levels) != len(self.widths):
                raise CheckpointError(
                    f"{name} is {levels!r:.80}, expected a list for each of {len(self.widths)} "
                    f"levels"
                )
            for blocks in levels:
                listed = isinstance(blocks, tuple) and 1 <= len(blocks) <= _MOST_BLOCKS + 1
                if not listed or not all(isinstance(follows, bool) for follows in blocks):
                    raise CheckpointError(
                        f"{name} has {blocks!r:.80}, expected 1 to {_MOST_BLOCKS + 1} blocks, each "
                        f"true if a transformer follows it"
                    )
        if any(len(a) + 1 != len(b) for a, b in zip(self.down, self.up, strict=True)):
            raise CheckpointError(
                "expected one block more on each level's way up than on its way down"
            )

    def _check_factors(self) -> None:
        if (self.factors is None) == (self.family == TOC_SR):
            raise CheckpointError(
                f"factors is {self.factors!r:.80}: expected two numbers for {TOC_SR}, and null for "
                f"the others"
            )
        if self.factors is not None:
            if not isinstance(self.factors, tuple) or len(self.factors) != 2:
                raise CheckpointError(f"factors is {self.factors!r:.80}, expected two numbers")
            for value in self.factors:
                check_number("one of factors", value, -1e3, 1e3)
                check_number("the size of one of factors", abs(value), 1e-3, 1e3)
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
            down=self.down,
            up=self.up,
            middle=self.middle,
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
    # One of the UNets that have the published size; which one is theirs, the paper does not say,
    # nor the time and the step.
    TOC_SR: StableDiffusionConfig(
        family=TOC_SR,
        timestep=1,
        factors=(1.0, 1.0),
        widths=(320, 480, 480, 480),
        head_size=40,
        down=((True,), (True, False), (True,), (False,)),
        up=((True, True), (True, True, False), (True, False), (False, False)),
        middle=0,
        text=768,
        latent_channels=16,
    ),
}
"""Configurations by name. None has public weights here: they load with seeded ones."""
