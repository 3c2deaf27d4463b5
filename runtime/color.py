"""Colour: give the result the colours of the image it came from.

Both fixes look at the whole image: matched tile by tile, uniform tiles turn white and borders
show. Areas that were padded are not looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from tinysr.errors import choice_error

from .geometry import Planes
from .rows import Rows
from .store import Moments, Store

__all__ = ["COLORS", "Color", "adain", "color_fix", "find_own_color", "upscale_bicubic"]

Color = Literal["adain", "wavelet", "none"]
COLORS: tuple[str, ...] = get_args(Color)

EPSILON = 1e-5
"""Value added to variances, so that a uniform image has a deviation."""

LEVELS = 5
"""Levels of the à-trous decomposition: the last one looks 16 pixels far."""

_HALO = 2**LEVELS - 1
"""Pixels that all levels together look far."""

_LINES = 64
"""Lines that are blurred at a time."""

_REACH = 2
"""Source pixels that the bicubic filter reads on either side."""

_A = -0.75
"""PyTorch's bicubic coefficient; the model was trained on images enlarged with it."""

Fix = Callable[[Store, Planes], Rows]


def color_fix(name: str) -> Fix:
    """Return a fix by name: it maps the network's output and its input to the result's rows.

    Height and width of the output are those of the input, times a whole number.

    Raises:
        UnsupportedError: there is no fix of this name.
    """
    fixes: dict[str, Fix] = {"adain": Adain, "wavelet": Wavelet, "none": lambda output, _: output}
    if name not in fixes:
        raise choice_error("color fix", name, fixes)
    return fixes[name]


def find_own_color(config: Mapping[str, Any]) -> str:
    """Return the colour fix that a model's config names, or what most authors use."""
    return str(config.get("colour", "adain"))


def adain(image: Planes, source: Planes) -> Planes:
    """Match the mean and deviation of each channel of ``[C, sH, sW]`` with the source's.

    Args:
        image: the result, left as it is.
        source: the low-resolution image ``[C, H, W]``, not enlarged.
    """
    output = Store(*image.shape, compact=False)
    output.put(0, 0, image)
    return Adain(output, source).take(0, image.shape[1])


class Adain:
    """Rows of which each channel has the mean and deviation of the source's."""

    def __init__(self, output: Store, source: Planes) -> None:
        """Compare what was stored with the low-resolution image ``[C, H, W]``."""
        self._output, self.shape = output, output.shape
        wanted = Moments(source.shape[0])
        wanted.add(source)
        scale = wanted.deviation(EPSILON) / output.moments.deviation(EPSILON)
        self._scale = scale.astype(np.float32)
        self._shift = (wanted.mean - output.moments.mean * scale).astype(np.float32)

    def take(self, start: int, stop: int) -> Planes:
        """Return matched rows."""
        rows = self._output.take(start, stop)
        rows *= self._scale[:, None, None]
        rows += self._shift[:, None, None]
        return rows


class Wavelet:
    """Rows with the result's high bands and the low band of the source, enlarged bicubically.

    The bands are sums and differences of blurs, which are linear: high(image) + low(source) is
    image + low(source - image), one decomposition in place of two.
    """

    def __init__(self, output: Store, source: Planes) -> None:
        """Take the low band of a low-resolution image ``[C, H, W]``."""
        self._output, self._source, self.shape = output, source, output.shape
        self._scale = output.shape[1] // source.shape[1]

    def take(self, start: int, stop: int) -> Planes:
        """Return rows with the source's low band."""
        first, last = max(0, start - _HALO), min(self.shape[1], stop + _HALO)
        image = self._output.take(first, last)
        low = self._enlarge(first, last)
        low -= image
        for plane in low:
            _blur(plane)
            _blur(plane.T)
        low *= np.float32(4.0 ** (-2 * LEVELS))
        image += low
        return image[:, start - first : stop - first]

    def _enlarge(self, first: int, last: int) -> Planes:
        scale = self._scale
        top = max(0, first // scale - _REACH)
        bottom = -(-last // scale) + _REACH
        rows = upscale_bicubic(self._source[:, top:bottom], scale)
        return np.ascontiguousarray(rows[:, first - top * scale : last - top * scale])


def upscale_bicubic(source: Planes, scale: int) -> Planes:
    """Enlarge ``[C, H, W]`` so many times as PyTorch's bicubic interpolation; not clamped."""
    taps = _phases(scale)
    windows = sliding_window_view(_replicate(source, axis=2), len(taps), axis=2)
    wide = np.ascontiguousarray(windows) @ taps  # [C, H, W, 5] @ [5, s]
    wide = wide.reshape(*source.shape[:2], -1)
    windows = sliding_window_view(_replicate(wide, axis=1), len(taps), axis=1)
    tall: Planes = taps.T @ windows.swapaxes(2, 3)  # [s, 5] @ [C, H, 5, sW]
    return tall.reshape(source.shape[0], -1, wide.shape[2])


def _blur(lines: NDArray[np.float32]) -> None:
    """Blur ``[L, n]`` along the first axis with [1 2 1] at each level, in place.

    [1 2 1] is [1 1] twice: two sums a level. The division by 4 is left to the end; until then
    values grow by powers of two, which is exact. Some lines at a time stay in the cache.
    """
    length, count = lines.shape
    order: Literal["C", "F"] = "C" if lines.flags.c_contiguous else "F"
    padded = np.empty((length + 2**LEVELS, _LINES), np.float32, order)
    sums = np.empty((length + 2 ** (LEVELS - 1), _LINES), np.float32, order)
    for first in range(0, count, _LINES):
        part = lines[:, first : first + _LINES]
        x, pairs = padded[:, : part.shape[1]], sums[:, : part.shape[1]]
        x[1 : 1 + length] = part
        for level in range(LEVELS):
            r = 2**level
            x[:r] = x[r]
            x[r + length : 2 * r + length] = x[r + length - 1]
            np.add(x[: r + length], x[r : 2 * r + length], out=pairs[: r + length])
            into = part if level == LEVELS - 1 else x[2 * r : 2 * r + length]
            np.add(pairs[:length], pairs[r : r + length], out=into)


def _phases(scale: int) -> NDArray[np.float32]:
    """Return the weights ``[5, s]`` of the pixels from -2 to 2 in each of the s output pixels."""
    taps = np.zeros((2 * _REACH + 1, scale), np.float32)
    for phase in range(scale):
        position = (phase + 0.5) / scale - 0.5  # from the middle of the source pixel
        first = int(np.floor(position))
        for pixel in range(first - 1, first + 3):
            taps[pixel + _REACH, phase] = _cubic(abs(position - pixel))
    return taps


def _cubic(distance: float) -> float:
    if distance <= 1:
        return (_A + 2) * distance**3 - (_A + 3) * distance**2 + 1
    return _A * (distance**3 - 5 * distance**2 + 8 * distance - 4)


def _replicate(image: Planes, axis: int) -> Planes:
    return np.pad(
        image, [(_REACH, _REACH) if a == axis else (0, 0) for a in range(image.ndim)], "edge"
    )
