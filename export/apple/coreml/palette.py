"""Palettes: few values that stand for many weights, chosen for the least squared error.

In one dimension the clusters of k-means are ranges of the sorted weights, so that an iteration
needs the sums up to each border and nothing else: seconds for the 341 M weights of the full model,
where coremltools' own k-means takes hours.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["find_palette", "make_lookup"]

_ITERATIONS = 30


def make_lookup(bits: int) -> Callable[[NDArray[Any]], tuple[NDArray[Any], NDArray[np.uint8]]]:
    """Return what coremltools calls for each group of channels: weights → palette, indices."""

    def entries(weights: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.uint8]]:
        flat = weights.reshape(-1).astype(np.float32)
        colours = find_palette(flat, bits).astype(weights.dtype)
        wide = colours.astype(np.float32)
        borders = (wide[1:] + wide[:-1]) / 2
        return colours, np.searchsorted(borders, flat).astype(np.uint8)

    return entries


def find_palette(weights: NDArray[np.float32], bits: int) -> NDArray[np.float64]:
    """Return ``2**bits`` values, ascending, by k-means.

    Args:
        weights: of any number.
        bits: of an index.
    """
    ordered = np.sort(weights).astype(np.float64)
    count = 2**bits
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    colours = _start(ordered, count)
    places: NDArray[np.intp] | None = None
    for _ in range(_ITERATIONS):
        cuts = np.searchsorted(ordered, (colours[1:] + colours[:-1]) / 2)
        if places is not None and np.array_equal(cuts, places):
            break
        places = cuts
        edges = np.concatenate([[0], cuts, [len(ordered)]])
        sizes = np.diff(edges)
        means = np.diff(sums[edges]) / np.maximum(sizes, 1)
        colours = np.sort(np.where(sizes > 0, means, colours))
    return colours


def _start(ordered: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return colours halfway between equal shares of the weights and equal steps."""
    share = (np.arange(count) + 0.5) / count
    dense = ordered[(share * len(ordered)).astype(np.intp)]
    steps: NDArray[np.float64] = ordered[0] + (ordered[-1] - ordered[0]) * share
    return (dense + steps) / 2
