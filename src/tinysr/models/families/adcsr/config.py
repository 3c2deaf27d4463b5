"""Configuration of AdcSR: what a model is made of, as frozen data within bounds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tinysr.errors import CheckpointError
from tinysr.models.configs import check_integer, check_widths, read_fields
from tinysr.models.layers.unet2d import UnetConfig

__all__ = ["FAMILY", "PRESETS", "AdcSrConfig"]

FAMILY = "adcsr"

_COLOURS = 3

_GROUPS = (32, 24, 16, 12, 8, 6, 4, 2, 1)
"""Groups of the UNet's norms: the first number that divides what three quarters of the channels
are. Its last makes every width possible."""

# A hostile config must not make us allocate: these are far above any model of this family.
_MOST_BLOCKS = 8
_MOST_SCALE = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class AdcSrConfig:
    """A whole AdcSR; the defaults are the authors' (section 3, and the released weights).

    Raises:
        CheckpointError: a value is of the wrong type, absurd, or contradicts another.
    """

    family: str = FAMILY
    unshuffle: int = 2
    """Pixels along the side of a square of the image that become channels of one cell."""
    widths: tuple[int, ...] = (240, 480, 960, 960)
    """Channels of the UNet's levels: three quarters of Stable Diffusion 2.1's."""
    head_size: int = 48
    """Channels of an attention head, whose scale is 48^-½: pruning left their number as it was."""
    blocks: int = 2
    """Residual blocks of each level of the UNet on the way down; on the way up there is one
    more."""
    decoder_widths: tuple[int, ...] = (256, 256, 128, 64)
    """Channels of the decoder's levels, from the features to the image."""
    decoder_blocks: int = 3
    """Residual blocks of each level of the decoder."""
    decoder_groups: int = 32
    """Groups of every GroupNorm of the decoder."""

    def __post_init__(self) -> None:
        """Check all values."""
        if self.family != FAMILY:
            raise CheckpointError(f"the family is {self.family!r:.80}, expected '{FAMILY}'")
        check_integer("unshuffle", self.unshuffle, 1, 8)
        check_integer("head_size", self.head_size, 1, 256)
        check_integer("decoder_groups", self.decoder_groups, 1, 64)
        for name in ("blocks", "decoder_blocks"):
            check_integer(name, getattr(self, name), 1, _MOST_BLOCKS)
        check_widths("widths", self.widths, self.head_size, "head_size")
        check_widths("decoder_widths", self.decoder_widths, self.decoder_groups, "decoder_groups")
        grown = 2 ** (len(self.decoder_widths) - 1)
        if grown % self.unshuffle or grown // self.unshuffle > _MOST_SCALE:
            raise CheckpointError(
                f"decoder_widths has {len(self.decoder_widths)} levels, which enlarge {grown} "
                f"times: expected a multiple of unshuffle, which is {self.unshuffle}, and a whole "
                f"scale of {_MOST_SCALE} at most"
            )

    @property
    def scale(self) -> int:
        """Sides of the result over those of the image."""
        return int(2 ** (len(self.decoder_widths) - 1)) // self.unshuffle

    @property
    def features(self) -> int:
        """Channels between the two stages."""
        return self.decoder_widths[0]

    @property
    def unet(self) -> UnetConfig:
        """Configuration of the UNet, which has neither time nor text."""
        last = len(self.widths) - 1
        return UnetConfig(
            inputs=_COLOURS * self.unshuffle**2,
            outputs=self.features,
            widths=self.widths,
            heads=tuple(width // self.head_size for width in self.widths),
            attended=(*[True] * last, False),
            blocks=self.blocks,
            groups=_GROUPS,
            time=False,
            text=None,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON-ready data."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AdcSrConfig:
        """Rebuild a config from :meth:`to_dict`'s data, lists for tuples or not.

        Raises:
            CheckpointError: a field is missing or unknown, or its value is refused.
        """
        return read_fields(cls, data)


PRESETS: dict[str, AdcSrConfig] = {"adcsr": AdcSrConfig()}
"""Configurations by name. None has public weights here: they load with seeded ones."""
