"""Sizes: from any image to one the graphs take, and back to exactly the image's times the scale.

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

from tinysr.chain import Chain
from tinysr.errors import ImageError

__all__ = [
    "ImageSize",
    "Planes",
    "SizePlan",
    "pad",
    "plan",
    "resize",
]

LONGEST_ASPECT = 16.0
"""Longest aspect ratio at which a small image is enlarged to a tile; a longer strip would become
gigantic."""

Planes = NDArray[np.float32]
"""An image as planes, ``[C, H, W]``, RGB, about [0, 1]."""

ImageSize = tuple[int, int]
"""Width and height, in pixels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SizePlan:
    """Sizes that one image goes through. All but the result's are low-resolution ones."""

    size: ImageSize
    """The image as it came."""
    scaled: ImageSize
    """Size after enlarging an image that is smaller than a tile; otherwise :attr:`size`."""
    padded: ImageSize
    """Size after repeating the right and bottom edge: what the encoder sees."""
    output: ImageSize
    """Size of the result."""
    scale: int
    """Sides of what the network makes over those of what it sees."""

    @property
    def made(self) -> ImageSize:
        """Size of what the network makes of the image without its padding."""
        return self.scaled[0] * self.scale, self.scaled[1] * self.scale

    @property
    def megapixels(self) -> float:
        """Size of the largest image on the way, in 10⁶ pixels."""
        made = self.padded[0] * self.padded[1] * self.scale**2
        return max(made, self.output[0] * self.output[1]) / 1e6

    @property
    def resampled(self) -> bool:
        """Whether the network's result has another size than what is asked for."""
        return self.output != self.made


def plan(
    width: int, height: int, chain: Chain, scale: float | None = None, least: int | None = None
) -> SizePlan:
    """Plan the sizes of an image.

    1. An image whose smaller side is under the largest tile is enlarged until it is that long. If
       it is longer than 16:1 it keeps its pixels, and step 2 pads it to the tile.
    2. The edges on the right and at the bottom are repeated up to the chain's multiple.
    3. The result is cropped to what was not padded. It is resampled if the image was enlarged,
       or if ``scale`` is not the chain's: the network enlarges by that, always.

    Args:
        width: in pixels, at least 1.
        height: in pixels, at least 1.
        chain: that the image goes through.
        scale: the result's sides over the image's, rounded to whole pixels; None is the chain's.
        least: pixels along the sides of the smallest image; None is the chain's.

    Raises:
        ImageError: the image has no pixels.
    """
    if width < 1 or height < 1:
        raise ImageError(f"expected an image of at least 1×1 pixels, found {width}×{height}")
    tile, multiple = chain.least if least is None else least, chain.multiple
    scale = chain.scale if scale is None else scale
    short, long = sorted((width, height))
    scaled = (width, height)
    if short < tile and long <= LONGEST_ASPECT * short:
        scaled = _scale_side(width, tile, short), _scale_side(height, tile, short)
    padded = _pad_side(scaled[0], tile, multiple), _pad_side(scaled[1], tile, multiple)
    output = max(1, math.floor(width * scale + 0.5)), max(1, math.floor(height * scale + 0.5))
    return SizePlan(
        size=(width, height), scaled=scaled, padded=padded, output=output, scale=chain.scale
    )


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


def _pad_side(side: int, tile: int, multiple: int) -> int:
    return -(-max(side, tile) // multiple) * multiple
