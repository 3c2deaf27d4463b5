"""Enlarging of images before the network, for chains that expect it.

A resize in 8 bits rounds twice, as no graph does. So it belongs to whoever feeds the first stage,
and all of them do it here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tinysr.chain import Chain

__all__ = ["enlarge", "prepare_image"]

Images = NDArray[np.floating[Any]]

_WHITE = 255


def prepare_image(chain: Chain, images: Images) -> Images:
    """Return what the first stage of a chain reads of images ``[…, H, W]`` in about [0, 1]."""
    return images if chain.enlarges == "none" else enlarge(images, chain.scale)


def enlarge(images: Images, scale: int) -> Images:
    """Return planes ``[…, sH, sW]`` in fp32, as Pillow's bicubic resize makes them of 8 bits.

    Args:
        images: planes ``[…, H, W]`` in about [0, 1], which are clipped to it and rounded to 8 bits
            first.
        scale: sides of the result over those of the image.
    """
    *outer, height, width = images.shape
    size = width * scale, height * scale
    rounded = (np.clip(images, 0, 1).reshape(-1, height, width) * _WHITE + 0.5).astype(np.uint8)
    found = np.empty((len(rounded), size[1], size[0]), np.float32)
    for plane, into in zip(rounded, found, strict=True):
        larger = Image.fromarray(plane).resize(size, Image.Resampling.BICUBIC)
        np.divide(np.asarray(larger), np.float32(_WHITE), out=into)
    return found.reshape(*outer, *found.shape[1:])
