"""Latent tiles: the transformer sees squares of one size, their predictions are blended.

The scheme is that of TSD-SR and StableSR: tiles overlap, each prediction counts by a Gaussian
around its tile's centre. Sums are fp32: the weights of a tile's corner underflow in fp16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Grid", "blend", "gaussian", "lay_grid", "place_tiles"]

VARIANCE = 0.01
"""Variance of the Gaussian weight, in units of the tile's side squared."""

Latents = NDArray[np.float32]
"""``[1, C, h, w]``."""

Predict = Callable[[Latents], Latents]
"""Maps tiles ``[N, C, t, t]`` to their velocities, of the same shape."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """Where the tiles of one image lie. Tiles are squares, in latent pixels."""

    tile: int
    corners: tuple[tuple[int, int], ...]
    """Top and left of each tile, row by row."""

    def __len__(self) -> int:
        return len(self.corners)


def place_tiles(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    """Return where tiles start along a side: every ``tile - overlap``, the last one flush.

    Args:
        length: the side, at least ``tile``.
        tile: a tile's side.
        overlap: what neighbours share at least, less than ``tile``.
    """
    return (*range(0, length - tile, tile - overlap), length - tile)


def lay_grid(height: int, width: int, tile: int, overlap: int) -> Grid:
    """Lay tiles over latents of ``height`` × ``width``, both at least ``tile``."""
    corners = product(place_tiles(height, tile, overlap), place_tiles(width, tile, overlap))
    return Grid(tile=tile, corners=tuple(corners))


def gaussian(tile: int) -> NDArray[np.float32]:
    """Return the weights of a tile ``[tile, tile]``, largest in the middle.

    The reference code centres the columns on (t-1)/2 and, by an oversight, the rows on t/2;
    here both are centred on (t-1)/2.
    """
    offset = (np.arange(tile) - (tile - 1) / 2) / tile
    line = np.exp(-(offset**2) / (2 * VARIANCE)) / np.sqrt(2 * np.pi * VARIANCE)
    return np.outer(line, line).astype(np.float32)


def blend(
    latents: Latents,
    tiles: Grid,
    predict: Predict,
    *,
    batch: int = 1,
    done: Callable[[int], Any] = lambda _: None,
) -> Latents:
    """Return the velocity of whole latents ``[1, C, h, w]``, averaged over overlapping tiles.

    Args:
        latents: of the size that ``tiles`` was laid for; left as they are.
        tiles: where the tiles lie.
        predict: called once per batch of tiles.
        batch: most tiles of one call.
        done: called after each batch with the number of tiles it had.
    """
    if len(tiles) == 1:  # its own prediction, bit for bit
        velocity = predict(latents)
        done(1)
        return velocity
    weight = gaussian(tiles.tile)
    total = np.zeros_like(latents)
    weights = np.zeros(latents.shape[2:], np.float32)
    for corners in _batches(tiles, batch):
        cut = [_area(corner, tiles.tile) for corner in corners]
        velocities = predict(np.concatenate([latents[..., y, x] for y, x in cut]))
        for (y, x), velocity in zip(cut, velocities, strict=True):
            total[0, :, y, x] += velocity * weight
            weights[y, x] += weight
        done(len(cut))
    total /= weights
    return total


def _batches(tiles: Grid, batch: int) -> Iterator[tuple[tuple[int, int], ...]]:
    for first in range(0, len(tiles), batch):
        yield tiles.corners[first : first + batch]


def _area(corner: tuple[int, int], tile: int) -> tuple[slice, slice]:
    top, left = corner
    return slice(top, top + tile), slice(left, left + tile)
