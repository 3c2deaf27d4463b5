"""Colour: give the result the colours of the image it came from.

Both fixes look at the whole image: matched tile by tile, uniform tiles turn white and borders
show. Areas that were padded are not looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from tinysr.errors import choices

from .geometry import SCALE, Planes

__all__ = ["COLORS", "Color", "adain", "color_fix", "upscale_bicubic", "wavelet"]

Color = Literal["adain", "wavelet", "none"]
COLORS: tuple[str, ...] = get_args(Color)

EPSILON = 1e-5
"""Added to variances, so that a uniform image has a deviation."""

LEVELS = 5
"""Of the à-trous decomposition: the last one looks 16 pixels far."""

_A = -0.75
"""PyTorch's bicubic coefficient; the model was trained on images enlarged with it."""

Fix = Callable[[Planes, Planes], Planes]


def color_fix(name: str) -> Fix:
    """Return a fix by name: it maps the result and the low-resolution image to the result.

    A fix may write over the result it is given.

    Raises:
        UnsupportedError: there is no fix of this name.
    """
    fixes: dict[str, Fix] = {"adain": adain, "wavelet": wavelet, "none": lambda image, _: image}
    if name not in fixes:
        raise choices("color fix", name, fixes)
    return fixes[name]


def adain(image: Planes, source: Planes) -> Planes:
    """Match each channel's mean and deviation with the source's, in place if contiguous.

    Args:
        image: the result ``[C, 4H, 4W]``.
        source: the low-resolution image ``[C, H, W]``, not enlarged.
    """
    image = np.ascontiguousarray(image)
    for plane, model in zip(image, source, strict=True):
        values = plane.reshape(-1)
        reference = model.reshape(-1)
        mean = reference.mean()
        wanted = _deviation(reference - mean)
        values -= values.mean()
        values *= wanted / _deviation(values)
        values += mean
    return image


def wavelet(image: Planes, source: Planes) -> Planes:
    """Take the result's high bands and the low band of the source, enlarged bicubically.

    The bands are sums and differences of blurs, which are linear: high(image) + low(source) is
    image + low(source - image), one decomposition in place of two.

    Args:
        image: the result ``[C, 4H, 4W]``.
        source: the low-resolution image ``[C, H, W]``.
    """
    low = upscale_bicubic(source)
    low -= image
    for level in range(LEVELS):
        low = _blur(_blur(low, 2**level, axis=1), 2**level, axis=2)
    image += low
    return image


def upscale_bicubic(source: Planes) -> Planes:
    """Enlarge ``[C, H, W]`` four times as ``F.interpolate(mode="bicubic")`` does; not clamped."""
    return _enlarge(_enlarge(source, axis=1), axis=2)


def _deviation(centred: NDArray[np.float32]) -> np.float32:
    variance = np.dot(centred, centred) / max(centred.size - 1, 1)
    return np.float32(np.sqrt(variance + EPSILON))


def _blur(image: Planes, radius: int, axis: int) -> Planes:
    """Blur along an axis with [1 2 1]/4, ``radius`` apart, the edges repeated."""
    length = image.shape[axis]
    padded = _replicate(image, radius, axis)
    result = _cut(padded, axis, radius, length) * np.float32(2)
    result += _cut(padded, axis, 0, length)
    result += _cut(padded, axis, 2 * radius, length)
    result *= np.float32(0.25)
    return result


def _enlarge(image: Planes, axis: int) -> Planes:
    """Enlarge one axis: each of the 4 phases is a fixed filter of 4 taps."""
    length = image.shape[axis]
    padded = _replicate(image, 2, axis)
    shape = list(image.shape)
    shape.insert(axis + 1, SCALE)
    result = np.zeros(shape, np.float32)
    for phase in range(SCALE):
        into = result[(slice(None),) * (axis + 1) + (phase,)]
        position = (phase + 0.5) / SCALE - 0.5  # from the middle of the source pixel
        first = int(np.floor(position))
        for tap in range(-1, 3):
            factor = np.float32(_cubic(abs(position - first - tap)))
            into += _cut(padded, axis, 2 + first + tap, length) * factor
    shape[axis : axis + 2] = [length * SCALE]
    return result.reshape(shape)


def _cubic(distance: float) -> float:
    if distance <= 1:
        return (_A + 2) * distance**3 - (_A + 3) * distance**2 + 1
    return _A * (distance**3 - 5 * distance**2 + 8 * distance - 4)


def _replicate(image: Planes, by: int, axis: int) -> Planes:
    return np.pad(image, [(by, by) if a == axis else (0, 0) for a in range(image.ndim)], "edge")


def _cut(image: Planes, axis: int, start: int, length: int) -> Planes:
    return image[(slice(None),) * axis + (slice(start, start + length),)]
