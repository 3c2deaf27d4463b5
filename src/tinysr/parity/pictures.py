"""Thumbnails for the report: PNGs inside the page, so that it stays one file."""

from __future__ import annotations

import base64
import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tinysr.suite.images import SuiteImage

__all__ = ["Picture", "amplification", "make_picture", "make_thumbnail"]

Array = NDArray[np.floating[Any]]

THUMB_SIDE = 192
"""Longest side of a thumbnail, in pixels."""

_BROKEN = np.array([255, 0, 255], np.uint8)  # magenta stands for NaN and infinity
_VISIBLE = 99  # percent: a single far pixel must not darken all others
_MAX_EXPONENT = 7  # fp32 ends there: more would amplify rounding alone


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """One image as both models see it, already small."""

    image: str
    source: Array
    """``[h, w, 3]`` in [0, 1]: the low-resolution input."""
    eager: Array
    """``[s, s, 3]``, clamped to [0, 1]."""
    backend: Array
    """``[s, s, 3]``, clamped to [0, 1]; NaN where the output is not finite."""
    difference: Array
    """``[s, s, 3]``: the largest absolute difference under each thumbnail pixel."""


def make_picture(image: SuiteImage, expected: Array, found: Array) -> Picture:
    """Shrink an image's three states, ``[3, h, w]`` each, for the report.

    The images are averaged; of the differences the largest is kept, so that a single wrong
    pixel stays visible.
    """
    return Picture(
        image=image.name,
        source=image.pixels.transpose(1, 2, 0),
        eager=_blocks(expected).mean(axis=(1, 3)).clip(0, 1),
        backend=_blocks(found).mean(axis=(1, 3)).clip(0, 1),
        difference=_blocks(np.abs(found - expected)).max(axis=(1, 3)),
    )


def amplification(pictures: tuple[Picture, ...]) -> float:
    """Return the power of ten that makes the pictures' differences clearly visible.

    It is one for all of an artifact's pictures, so that they can be compared, and brings the
    99th percentile of all differences to between 0.3 and 3.
    """
    every = np.concatenate([picture.difference.ravel() for picture in pictures])
    finite = every[np.isfinite(every)]
    if not finite.any():
        return 1.0
    level = float(np.percentile(finite, _VISIBLE)) or float(finite.max())
    return 10.0 ** min(max(round(-math.log10(level)), 0), _MAX_EXPONENT)


def make_thumbnail(pixels: Array) -> str:
    """Return ``[h, w, 3]`` in [0, 1] as a PNG in a ``data:`` URI; not finite is magenta."""
    finite = np.isfinite(pixels)
    values = np.where(finite, pixels, 0).clip(0, 1)
    bytes_ = np.round(values * 255).astype(np.uint8)
    bytes_[~finite.all(axis=-1)] = _BROKEN
    file = io.BytesIO()
    Image.fromarray(bytes_).save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _blocks(pixels: Array) -> Array:
    """Return ``[3, h, w]`` as ``[h', k, w', k, 3]``: one k×k block per thumbnail pixel."""
    height, width = pixels.shape[1:]
    k = max(1, math.ceil(max(height, width) / THUMB_SIDE))
    rows, columns = height // k, width // k
    cut = pixels[:, : rows * k, : columns * k].transpose(1, 2, 0)
    return cut.reshape(rows, k, columns, k, 3)
