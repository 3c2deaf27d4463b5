"""Batches as a pure function of config and step, so that a resumed run sees what it would have."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tinysr.training.config import TrainConfig
from tinysr.training.degradation import degrade
from tinysr.training.spectral import Array, Random, as_array
from tinysr.training.synthetic import synthetic_image

__all__ = ["Batch", "Batches"]

Batch = tuple[Tensor, Tensor]
"""Low resolution ``[N, 3, h, w]`` and high resolution ``[N, 3, 4h, 4w]``, both in [0, 1]."""

_IMAGES, _CROPS = 0, 1
"""Keys that keep the random streams of images and of crops apart."""


class Batches:
    """Batches by step; their images come from a window that slides on as steps pass."""

    def __init__(self, config: TrainConfig) -> None:
        self.config = config
        self._images: dict[int, NDArray[np.uint8]] = {}

    def batch(self, step: int, part: int = 0, parts: int = 1) -> Batch:
        """Return the batch of ``step``, or every ``parts``-th item of it from ``part`` on."""
        phase = self.config.phase(step)
        oldest = step // self.config.refresh
        self._forget(oldest)
        pairs = []
        for item in range(part, phase.batch, parts):
            rng = np.random.default_rng([self.config.seed, _CROPS, step, item])
            index = oldest + int(rng.integers(self.config.pool))
            pairs.append(self._pair(rng, index, phase.patch))
        low, high = (
            torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
            for images in zip(*pairs, strict=True)
        )
        return low, high

    def _pair(self, rng: Random, index: int, patch: int) -> tuple[Array, Array]:
        high = _vary(_crop(self._image(index), patch, rng), rng)
        if rng.random() < self.config.vivid:
            high = _saturate(high, rng)
        return degrade(high, rng), high

    def _image(self, index: int) -> NDArray[np.uint8]:
        """Return synthetic image ``index``, made when it is first needed."""
        if index not in self._images:
            rng = np.random.default_rng([self.config.seed, _IMAGES, index])
            image = synthetic_image(rng, self.config.image_side)
            self._images[index] = (image * 255).round().astype(np.uint8)
        return self._images[index]

    def _forget(self, oldest: int) -> None:
        for index in [index for index in self._images if index < oldest]:
            del self._images[index]


def _crop(image: NDArray[np.uint8], patch: int, rng: Random) -> Array:
    top, left = rng.integers(0, image.shape[0] - patch + 1, 2)
    crop = np.rot90(image[top : top + patch, left : left + patch], int(rng.integers(4)))
    return np.asarray(crop, dtype=np.float32) / np.float32(255)


def _vary(image: Array, rng: Random) -> Array:
    """Mirror, and change exposure and white balance a little: one image serves many steps."""
    if rng.random() < 0.5:
        image = image[:, ::-1]
    if rng.random() < 0.1:
        image = np.repeat(image.mean(2, keepdims=True), 3, axis=2)
        gains = np.exp(rng.normal(0, 0.15, 1))
    else:
        gains = np.exp(rng.normal(0, 0.15) + rng.normal(0, 0.04, 3))
    return np.ascontiguousarray((image * gains.astype(np.float32)).clip(0, 1))


def _saturate(image: Array, rng: Random) -> Array:
    """Drive the colours apart, under a coloured light: paint, fruit, lamps, flowers."""
    grey = image.mean(2, keepdims=True)
    strong = grey + (image - grey) * np.float32(np.exp(rng.uniform(0, 1.6)))
    light = np.exp(rng.normal(0, 0.4, 3)).astype(np.float32)
    return as_array((strong * light).clip(0, 1))
