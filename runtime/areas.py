"""Areas: the autoencoder on images that are too large for one run.

It is purely convolutional, so an area with enough of its surroundings gives what the whole image
would. Images up to an area's size, nearly all of them, are run whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np

from .geometry import MULTIPLE
from .session import Array

__all__ = ["AREA", "count_areas", "run_areas"]

AREA = 384
"""Side of an area in latent pixels: 3072 pixels of the result, 1 to 2 GB for a feature map."""

Slices = tuple[slice, slice]


def count_areas(height: int, width: int, side: int) -> int:
    """Return how many runs :func:`run_areas` will take."""
    return len(list(_cores(height, width, side)))


def run_areas(
    array: Array,
    run: Callable[[Array], Array],
    *,
    side: int,
    halo: int,
    resized: Callable[[int], int],
    done: Callable[[int], Any] = lambda _: None,
) -> Array:
    """Run a convolutional stage area by area.

    Args:
        array: ``[1, C, H, W]``, sides being multiples of 4.
        run: maps ``[1, C, h, w]`` to ``[1, D, resized(h), resized(w)]``.
        side: of an area without its halo, in pixels of ``array``, a multiple of 4.
        halo: pixels around an area that its result depends on.
        resized: maps a length before the stage to the length after it.
        done: called with 1 after each run.
    """
    height, width = array.shape[2:]
    cores = list(_cores(height, width, side))
    if len(cores) == 1:
        result = run(array)
        done(1)
        return result
    halo = -(-halo // MULTIPLE) * MULTIPLE
    whole = np.empty(0, array.dtype)
    for y, x in cores:
        (rows, inner_y), (columns, inner_x) = (
            _widened(core, halo, length) for core, length in ((y, height), (x, width))
        )
        part = run(np.ascontiguousarray(array[..., rows, columns]))
        if not whole.size:
            whole = np.empty((*part.shape[:2], resized(height), resized(width)), part.dtype)
        inner = part[..., _mapped(inner_y, resized), _mapped(inner_x, resized)]
        whole[..., _mapped(y, resized), _mapped(x, resized)] = inner
        done(1)
    return whole


def _cores(height: int, width: int, side: int) -> Iterator[Slices]:
    if height * width <= side * side:
        yield slice(0, height), slice(0, width)
        return
    for top, left in product(range(0, height, side), range(0, width, side)):
        yield slice(top, min(top + side, height)), slice(left, min(left + side, width))


def _widened(core: slice, halo: int, length: int) -> Slices:
    """Return a slice with its halo, and where the slice lies in that."""
    start = max(0, core.start - halo)
    stop = min(length, core.stop + halo)
    return slice(start, stop), slice(core.start - start, core.stop - start)


def _mapped(area: slice, resized: Callable[[int], int]) -> slice:
    return slice(resized(area.start), resized(area.stop))
