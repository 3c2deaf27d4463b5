"""Tiles: a stage with global context sees squares of one size, and its results are blended.

The scheme is that of TSD-SR and StableSR: tiles overlap, each result counts by a Gaussian around
its tile's centre. Sums are fp32: the weights of a tile's corner underflow in fp16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from ..session import Array

__all__ = ["Grid", "Put", "blend", "gaussian", "lay_grid", "place_tiles"]

VARIANCE = 0.01
"""Variance of the Gaussian weight, in units of the tile's side squared."""

Floats = NDArray[np.float32]

Put = Callable[[int, int, Array], None]
"""Function that takes a finished part ``[1, C, h, w]`` of a result, and where it lies: the first
row and column."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """Places of one image's tiles. Tiles are squares, in cells."""

    tile: int
    rows: tuple[int, ...]
    """Top of each row of tiles."""
    columns: tuple[int, ...]
    """Left of each column of tiles."""

    def __len__(self) -> int:
        return len(self.rows) * len(self.columns)

    @property
    def corners(self) -> tuple[tuple[int, int], ...]:
        """Top and left of each tile, row by row."""
        return tuple(product(self.rows, self.columns))


def place_tiles(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    """Return where tiles start along a side: every ``tile - overlap``, the last one flush.

    Args:
        length: the side, at least ``tile``.
        tile: a tile's side.
        overlap: what neighbours share at least, less than ``tile``.
    """
    return (*range(0, length - tile, tile - overlap), length - tile)


def lay_grid(height: int, width: int, tile: int, overlap: int) -> Grid:
    """Lay tiles over ``height`` × ``width`` cells, both at least ``tile``."""
    return Grid(
        tile=tile,
        rows=place_tiles(height, tile, overlap),
        columns=place_tiles(width, tile, overlap),
    )


def gaussian(tile: int) -> Floats:
    """Return the weights along a tile's side ``[tile]``, largest in the middle.

    A place counts by the product of its row's and its column's. The reference code centres the
    columns on (t-1)/2 and, by an oversight, the rows on t/2; here both are centred on (t-1)/2.
    """
    offset = (np.arange(tile) - (tile - 1) / 2) / tile
    line = np.exp(-(offset**2) / (2 * VARIANCE)) / np.sqrt(2 * np.pi * VARIANCE)
    weights: Floats = line.astype(np.float32)
    return weights


def blend(
    array: Array,
    grid: Grid,
    run: Callable[[Array], Array],
    put: Put,
    *,
    reads: int,
    writes: int,
    batch: int = 1,
    done: Callable[[int], object] = lambda _: None,
) -> None:
    """Run a stage on overlapping tiles, and give the average of its results row by row.

    No more of the result is held than a row of tiles is high.

    Args:
        array: ``[1, C, H, W]``, of the size that the grid was laid for; left as it is.
        grid: where the tiles lie, in cells.
        run: maps tiles ``[N, C, t, t]``; called once per batch.
        put: takes what is finished.
        reads: places of ``array`` along a cell's side.
        writes: places of the result along a cell's side.
        batch: most tiles of one call.
        done: called after each batch with the number of tiles it had.
    """
    if len(grid) == 1:  # its own result, bit for bit
        put(0, 0, run(array))
        done(1)
        return
    line = gaussian(grid.tile * writes)
    weight = np.outer(line, line)
    band = _Band(grid, line, writes)
    for corners in _batches(grid, batch):
        cut = [
            array[..., _span(y, grid.tile, reads), _span(x, grid.tile, reads)] for y, x in corners
        ]
        results = run(np.concatenate(cut))
        for (top, left), result in zip(corners, results, strict=True):
            band.advance(top * writes, put)
            band.add(left * writes, result, weight)
        done(len(corners))
    band.advance(None, put)


class _Band:
    """Sums of the tiles of a row, and of those above that reach into it."""

    def __init__(self, grid: Grid, line: Floats, writes: int) -> None:
        self._side = grid.tile * writes
        self._across, self._down = (
            _sum_weights(places, line, writes) for places in (grid.columns, grid.rows)
        )
        self._top = 0
        self._sums: Floats | None = None

    def advance(self, top: int | None, put: Put) -> None:
        """Go down to a row of the result, and give what lies above it; all of it with None."""
        last = self._top + self._side
        rows = last - self._top if top is None else top - self._top
        if rows <= 0 or self._sums is None:
            return
        finished = self._sums[:, :rows]
        weights = self._down[self._top : self._top + rows, None] * self._across
        put(self._top, 0, (finished / weights)[None])
        kept = self._sums[:, rows:]
        self._sums = np.zeros_like(self._sums)
        self._sums[:, : kept.shape[1]] = kept
        self._top += rows

    def add(self, left: int, result: Array, weight: Floats) -> None:
        """Add a tile's result ``[C, t, t]``, as much as it counts."""
        if self._sums is None:
            shape = (len(result), self._side, len(self._across))
            self._sums = np.zeros(shape, np.float32)
        self._sums[..., left : left + self._side] += result * weight


def _sum_weights(places: tuple[int, ...], line: Floats, writes: int) -> Floats:
    """Return the weights that all tiles along a side have together, place by place."""
    total = np.zeros(places[-1] * writes + len(line), np.float32)
    for place in places:
        total[place * writes : place * writes + len(line)] += line
    return total


def _batches(tiles: Grid, batch: int) -> Iterator[tuple[tuple[int, int], ...]]:
    corners = tiles.corners
    for first in range(0, len(corners), batch):
        yield corners[first : first + batch]


def _span(start: int, length: int, each: int) -> slice:
    return slice(start * each, (start + length) * each)
