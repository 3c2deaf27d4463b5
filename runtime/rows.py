"""Rows: an image that is made as it is asked for, from top to bottom.

Each step after the network takes rows from the one before, so that a large image is never in
memory twice. All of them give what the step would give on the whole image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
from PIL import Image

from .geometry import ImageSize, Planes

__all__ = ["Clamped", "Resampled", "Rows", "Solid", "Straight"]

_SUPPORT = 2.0
"""Pixels that Pillow's bicubic filter reads on either side, at the coarser of the two scales."""

_TRANSPARENT = np.float32(1 / 512)
"""Opacity below which there is no colour to recover."""


class Rows(Protocol):
    """Planes ``[C, H, W]`` that can be taken once, row by row."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """C, H, W."""
        ...

    def take(self, start: int, stop: int) -> Planes:
        """Return rows ``[C, stop - start, W]``, free to be changed.

        Later calls can't ask for rows before ``start``.
        """
        ...


class Resampled:
    """Rows at another size, with Pillow's antialiased bicubic filter, clipped to [0, 1]."""

    def __init__(self, inner: Rows, size: ImageSize) -> None:
        self._inner = inner
        self.shape = (inner.shape[0], size[1], size[0])
        self._step = inner.shape[1] / size[1]
        self._reach = math.ceil(_SUPPORT * max(1.0, self._step)) + 1

    def take(self, start: int, stop: int) -> Planes:
        """Resample the rows these depend on; Pillow reads beyond a box, so nothing is cut."""
        _, height, width = self._inner.shape
        top, bottom = start * self._step, min(stop * self._step, height)
        first = max(0, math.floor(top) - self._reach)
        last = min(height, math.ceil(bottom) + self._reach)
        source = self._inner.take(first, last)
        size, box = (self.shape[2], stop - start), (0.0, top - first, width, bottom - first)
        planes = [
            np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC, box))
            for plane in source
        ]
        result: Planes = np.stack(planes)
        return np.clip(result, 0.0, 1.0, out=result)


class Clamped:
    """One channel that stays between the least and the largest of the source pixels around it.

    An opacity that the network made wavers where the source's is constant: this makes it exact
    there, and leaves edges as sharp as they are.
    """

    def __init__(self, inner: Rows, source: Planes) -> None:
        """Clamp the mean of the channels of ``inner``.

        Args:
            inner: a result ``[C, 4H, 4W]``.
            source: what it was made from, ``[1, H, W]``.
        """
        self._inner = inner
        self.shape = (1, *inner.shape[1:])
        self._low, self._high = (_reduce_around(source[0], f) for f in (np.minimum, np.maximum))
        self._scale = inner.shape[1] // source.shape[1]

    def take(self, start: int, stop: int) -> Planes:
        """Return the clamped mean of the channels."""
        rows: Planes = self._inner.take(start, stop).mean(axis=0)
        low, high = (self._enlarge(bound, start, stop) for bound in (self._low, self._high))
        clamped: Planes = np.clip(rows, low, high, out=rows)
        return clamped[None]

    def _enlarge(self, bound: Planes, start: int, stop: int) -> Planes:
        rows = np.arange(start, stop) // self._scale
        enlarged: Planes = bound[rows].repeat(self._scale, axis=1)
        return enlarged


class Solid:
    """Rows of one value."""

    def __init__(self, shape: tuple[int, int, int], value: float) -> None:
        self.shape = shape
        self._value = np.float32(value)

    def take(self, start: int, stop: int) -> Planes:
        """Return the value, over and over."""
        return np.full((self.shape[0], stop - start, self.shape[2]), self._value)


class Straight:
    """Colour and opacity, the colour no longer multiplied by the opacity."""

    def __init__(self, color: Rows, alpha: Rows, *, premultiplied: bool) -> None:
        """Join ``color`` ``[C, H, W]`` and ``alpha`` ``[1, H, W]`` to ``[C + 1, H, W]``."""
        self._color, self._alpha = color, alpha
        self.shape = (color.shape[0] + 1, *color.shape[1:])
        self._premultiplied = premultiplied

    def take(self, start: int, stop: int) -> Planes:
        """Return colour, divided by the opacity where there is any, and the opacity."""
        color, alpha = self._color.take(start, stop), self._alpha.take(start, stop)
        if self._premultiplied:
            seen = alpha > _TRANSPARENT
            np.divide(color, alpha, out=color, where=seen)
            color *= seen
        return np.concatenate([color, alpha])


def _reduce_around(plane: Planes, pick: Callable[[Planes, Planes], Planes]) -> Planes:
    """Return the least or largest value of each pixel's 3×3 neighbourhood, ``[H, W]``."""
    padded = np.pad(plane, 1, mode="edge")
    across = pick(pick(padded[:, :-2], padded[:, 1:-1]), padded[:, 2:])
    return pick(pick(across[:-2], across[1:-1]), across[2:])
