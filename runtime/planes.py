"""Planes: what the network takes, from an image's pixels, and pixels from what it gave."""

from __future__ import annotations

from typing import Any

import numpy as np

from .geometry import Planes
from .raster import Pixels
from .rows import Rows

__all__ = ["pixels_from_rows", "planes_from_pixels"]

_WHITE = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535, np.dtype(np.float32): 1}

_CHUNK = 2**21
"""Values of a result that are made at a time: some megabytes."""

_FEWEST_ROWS = 64


def planes_from_pixels(pixels: Pixels) -> tuple[Planes, Planes | None]:
    """Take pixels ``[H, W, C]`` apart.

    Returns:
        Grey ``[1, H, W]`` or colour ``[3, H, W]``, and the opacity ``[1, H, W]`` if there is
        one, all in [0, 1] and not premultiplied.
    """
    planes: Planes = np.array(pixels.transpose(2, 0, 1), np.float32, order="C")
    white = _WHITE[pixels.dtype]
    if white != 1:
        planes /= np.float32(white)
    if planes.shape[0] in (1, 3):
        return planes, None
    return planes[:-1], planes[-1:]


def pixels_from_rows(rows: Rows, dtype: np.dtype[Any]) -> Pixels:
    """Return all rows as pixels ``[H, W, C]``, clipped to the dtype's range.

    Args:
        rows: about [0, 1].
        dtype: uint8 or uint16, rounded to the nearest value, or float32.
    """
    channels, height, width = rows.shape
    pixels = np.empty((height, width, channels), dtype)
    white = np.float32(_WHITE[dtype])
    step = max(_FEWEST_ROWS, _CHUNK // (channels * width))
    for start in range(0, height, step):
        stop = min(start + step, height)
        planes = rows.take(start, stop)
        if white != 1:
            planes *= white
            planes += np.float32(0.5)  # the cast rounds down
        np.clip(planes, 0, white, out=planes)
        for channel, plane in enumerate(planes):
            pixels[start:stop, :, channel] = plane
    return pixels
