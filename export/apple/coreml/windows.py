"""Sizes of the windows in which a package encodes and decodes large images."""

from __future__ import annotations

from typing import Any, cast

from tinysr.export.model.baked import BakedTinySR
from tinysr.manifest import LATENT_STRIDE
from tinysr.models.receptive_field import halo

__all__ = ["window_sides"]

_HALOS = 4
"""The largest window is at least this many halos wide: half of each side is of use."""


def window_sides(model: BakedTinySR, tile: int) -> tuple[int, ...]:
    """Return the sides of windows beside the tile's, in low-resolution pixels: doubles of it.

    Core ML prepares for each size, so there are few; the Neural Engine takes no open ones.
    """
    encoder, decoder = cast("Any", model.encoder), cast("Any", model.decoder)
    enough = _HALOS * LATENT_STRIDE * halo(encoder, decoder).latents
    sides = [2 * tile]
    while sides[-1] < enough:
        sides.append(2 * sides[-1])
    return tuple(sides)
