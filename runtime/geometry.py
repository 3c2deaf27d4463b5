"""Sizes: from any image to one the graphs take, and back to exactly four times the image.

MODEL.md's recipe floors the output to a multiple of 8 and stretches the result to size, which
resamples nearly every photo. Here the image is padded to a multiple instead and the result
cropped, so that only images smaller than a tile are ever resampled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tinysr.errors import ImageError
from tinysr.manifest import LATENT_STRIDE

__all__ = [
    "LATENT_STRIDE",
    "MULTIPLE",
    "SCALE",
    "ImageSize",
    "Planes",
    "SizePlan",
    "pad",
    "plan",
    "resize",
]

SCALE = 4
"""Output side over input side."""

MULTIPLE = 4
"""Low-resolution sides are padded to it: latents are even, so tiles start on token borders."""

LONGEST_ASPECT = 16.0
"""Longest aspect ratio at which a small image is enlarged to a tile; a longer strip would become
gigantic."""

Planes = NDArray[np.float32]
"""An image as planes, ``[C, H, W]``, RGB, about [0, 1]."""

ImageSize = tuple[int, int]
"""Width and height, in pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SizePlan:
    """What is done to one image's size. All sizes but the result's are low-resolution ones."""

    size: ImageSize
    """The image as it came."""
    scaled: ImageSize
    """Size after enlarging an image that is smaller than a tile; otherwise :attr:`size`."""
    padded: ImageSize
    """Size after repeating the right and bottom edge: what the encoder sees."""
    output: ImageSize
    """Size of the result."""

    @property
    def latents(self) -> ImageSize:
        """Size of the latents."""
        return self.padded[0] // LATENT_STRIDE, self.padded[1] // LATENT_STRIDE

    @property
    def megapixels(self) -> float:
        """Size of the largest image on the way, in 10⁶ pixels."""
        made = self.padded[0] * self.padded[1] * SCALE**2
        return max(made, self.output[0] * self.output[1]) / 1e6

    @property
    def resampled(self) -> bool:
        """Whether the network's result has another size than what is asked for."""
        return self.output != (self.scaled[0] * SCALE, self.scaled[1] * SCALE)


def plan(width: int, height: int, tile: int, scale: float = SCALE) -> SizePlan:
    """Plan the sizes of an image.

    1. An image whose smaller side is under ``tile`` is enlarged until it is ``tile``. If it is
       longer than 16:1 it keeps its pixels, and step 2 pads it to ``tile``.
    2. The edges on the right and at the bottom are repeated up to multiples of 4.
    3. The result is cropped to what was not padded. It is resampled if the image was enlarged,
       or if ``scale`` is not 4: the network enlarges four times, always.

    Args:
        width: in pixels, at least 1.
        height: in pixels, at least 1.
        tile: the transformer's tile, in low-resolution pixels.
        scale: the result's sides over the image's, rounded to whole pixels.

    Raises:
        ImageError: the image has no pixels.
    """
    if width < 1 or height < 1:
        raise ImageError(f"expected an image of at least 1×1 pixels, found {width}×{height}")
    short, long = sorted((width, height))
    scaled = (width, height)
    if short < tile and long <= LONGEST_ASPECT * short:
        scaled = _scale_side(width, tile, short), _scale_side(height, tile, short)
    padded = _pad_side(scaled[0], tile), _pad_side(scaled[1], tile)
    output = max(1, math.floor(width * scale + 0.5)), max(1, math.floor(height * scale + 0.5))
    return SizePlan(size=(width, height), scaled=scaled, padded=padded, output=output)


def pad(image: Planes, size: ImageSize) -> Planes:
    """Repeat the right and bottom edge of ``[C, H, W]`` up to ``size``; no copy if it fits."""
    right, bottom = size[0] - image.shape[2], size[1] - image.shape[1]
    if right == 0 and bottom == 0:
        return image
    return np.pad(image, ((0, 0), (0, bottom), (0, right)), mode="edge")


def resize(image: Planes, size: ImageSize) -> Planes:
    """Resample ``[C, H, W]`` to ``size`` with Pillow's antialiased bicubic, clipped to [0, 1]."""
    if (image.shape[2], image.shape[1]) == size:
        return image
    planes = [
        np.asarray(Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC)) for plane in image
    ]
    result: Planes = np.stack(planes)
    return np.clip(result, 0.0, 1.0, out=result)


def _scale_side(side: int, tile: int, short: int) -> int:
    return max(tile, (side * tile * 2 + short) // (short * 2))  # rounded to the nearest


def _pad_side(side: int, tile: int) -> int:
    return -(-max(side, tile) // MULTIPLE) * MULTIPLE
