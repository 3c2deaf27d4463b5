"""Configuration of SANA-SR: what a model is made of, as frozen data within bounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tinysr.errors import CheckpointError
from tinysr.models.configs import (
    check_integer,
    check_integers,
    check_number,
    read_fields,
)
from tinysr.models.layers.autoencoder_dc import QUARTERS, DcConfig
from tinysr.models.layers.linear_attention import SanaConfig
from tinysr.models.one_step import SCALE

__all__ = ["FAMILY", "PRESETS", "SanaSrConfig"]

FAMILY = "sana-sr"

# A hostile config must not make us allocate: these are far above any model of this family.
_WIDEST = 4096
_MOST_HIDDEN = 16384
_MOST_BLOCKS = 64
_MOST_HEADS = 256
_MOST_TOKENS = 1024
_LEVELS = (3, 7)
_MOST_KERNELS = 3
_LARGEST_KERNEL = 15
_LARGEST_TIME = 1e4
_LARGEST_FACTOR = 1e3


@dataclass(frozen=True, kw_only=True, slots=True)
class SanaSrConfig:
    """A whole SANA-SR; the defaults are those of Sana's public parts, before any pruning.

    The paper says neither the time, nor the step's sign, nor the prompt, nor the widths that its
    pruning leaves, and nothing is released: a checkpoint states them.

    Raises:
        CheckpointError: a value is of the wrong type, absurd, or contradicts another.
    """

    family: str = FAMILY
    encoder: DcConfig = field(default_factory=lambda: DcConfig(blocks=(2, 2, 2, 3, 3, 3)))
    transformer: SanaConfig = field(default_factory=SanaConfig)
    decoder: DcConfig = field(default_factory=DcConfig)
    scaling_factor: float = 0.41407
    """Multiplies the encoder's latents, divides them again before the decoder."""
    timestep: float = 1000.0
    """The one step's time, as the transformer is told it."""
    step: float = -1.0
    """Factor of what the transformer gives, which is then added to the latents."""
    tokens: int = 300
    """Tokens of the one fixed prompt, none of which is masked."""

    def __post_init__(self) -> None:
        """Check all values."""
        if self.family != FAMILY:
            raise CheckpointError(f"the family is {self.family!r:.80}, expected '{FAMILY}'")
        _check_half("encoder", self.encoder)
        _check_half("decoder", self.decoder)
        _check_transformer(self.transformer)
        check_number("scaling_factor", self.scaling_factor, 1 / _LARGEST_FACTOR, _LARGEST_FACTOR)
        check_number("timestep", self.timestep, 0, _LARGEST_TIME)
        check_number("step", self.step, -_LARGEST_FACTOR, _LARGEST_FACTOR)
        check_integer("tokens", self.tokens, 1, _MOST_TOKENS)
        self._check_agreement()

    @property
    def scale(self) -> int:
        """Sides of the result over those of the image."""
        return SCALE

    @property
    def cell(self) -> int:
        """Pixels of the result along the side of one place of the latents."""
        return int(2 ** (len(self.decoder.widths) - 1))

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> SanaSrConfig:
        """Rebuild a config from :meth:`to_dict`'s data, lists for tuples or not.

        Raises:
            CheckpointError: a field is missing or unknown, or its value is refused.
        """
        return read_fields(cls, data)

    def _check_agreement(self) -> None:
        levels = (len(self.encoder.widths), len(self.decoder.widths))
        channels = (
            self.encoder.latent_channels,
            self.transformer.channels,
            self.decoder.latent_channels,
        )
        for what, found in (("levels", levels), ("channels of latents", channels)):
            if len(set(found)) > 1:
                raise CheckpointError(f"expected parts with the same {what}, found {found}")


def _check_half(name: str, half: DcConfig) -> None:
    """Refuse a half of an autoencoder that is absurd, or whose shortcuts are none."""
    widths = half.widths
    check_integers(f"{name}.widths", widths, _LEVELS, (1, _WIDEST))
    levels = len(widths)
    check_integers(f"{name}.blocks", half.blocks, (levels, levels), (1, _MOST_BLOCKS))
    check_integer(f"{name}.attended", half.attended, 0, levels)
    check_integer(f"{name}.latent_channels", half.latent_channels, 1, _WIDEST)
    check_integer(f"{name}.head_size", half.head_size, 1, 256)
    check_integers(f"{name}.kernels", half.kernels, (0, _MOST_KERNELS), (1, _LARGEST_KERNEL))
    if any(kernel % 2 == 0 for kernel in half.kernels):
        raise CheckpointError(f"{name}.kernels is {half.kernels}, expected odd ones")
    if any(width % half.head_size for width in widths[half.attended :]):
        raise CheckpointError(f"{name}.widths has what head_size does not divide, {half.head_size}")
    odd = [pair for pair in pairwise(widths) if pair[0] * QUARTERS % pair[1]]
    if odd or widths[-1] % half.latent_channels:
        raise CheckpointError(
            f"{name}.widths is {widths!r:.80}: expected levels that divide four times the level "
            f"before, and a last one that divides by {half.latent_channels} latent channels: "
            f"shortcuts average or repeat whole channels"
        )


def _check_transformer(part: SanaConfig) -> None:
    check_integer("transformer.channels", part.channels, 1, _WIDEST)
    check_integer("transformer.patch", part.patch, 1, 8)
    check_integer("transformer.dim", part.dim, 1, _WIDEST)
    check_integer("transformer.caption", part.caption, 1, 8192)
    for name in ("head_size", "cross_head_size"):
        check_integer(f"transformer.{name}", getattr(part, name), 1, 256)
    check_integers("transformer.heads", part.heads, (1, _MOST_BLOCKS), (1, _MOST_HEADS))
    depth = len(part.heads)
    check_integers("transformer.cross_heads", part.cross_heads, (depth, depth), (1, _MOST_HEADS))
    check_integers("transformer.hidden", part.hidden, (depth, depth), (1, _MOST_HIDDEN))


PRESETS: dict[str, SanaSrConfig] = {"sana-sr": SanaSrConfig()}
"""Configurations by name. None has public weights here: they load with seeded ones."""
