"""Sizes of the windows in which a package runs stages of windows on large images."""

from __future__ import annotations

from tinysr.chain import Chain
from tinysr.stages import Windows

__all__ = ["window_sides"]

_HALOS = 4
"""The largest window is at least this many halos wide: half of each side is of use."""


def window_sides(chain: Chain, tile: int) -> tuple[int, ...]:
    """Return the sides of windows beside the tile's, in low-resolution pixels: doubles of it.

    Core ML prepares for each size, so there are few; the Neural Engine takes no open ones.
    """
    halos = (
        chain.pixels(stage, stage.division.halo)
        for stage in chain.stages
        if isinstance(stage.division, Windows)
    )
    enough = _HALOS * max(halos, default=0)
    sides = [2 * tile]
    while sides[-1] < enough:
        sides.append(2 * sides[-1])
    return tuple(sides)
