"""Patches of photos and synthetic images, as a pure function of config, files and step."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from tinysr.training.config import Data, Phase
from tinysr.training.degradations import degrade_batch, find_settings
from tinysr.training.engine import Batch, Raw
from tinysr.training.photos import Photos
from tinysr.training.spectral import Array, Random, as_array, blur
from tinysr.training.synthetic import make_synthetic_image

__all__ = ["Drawing", "PatchBatches", "add_grain", "darken", "defocus", "draw_colour", "fade"]

_IMAGES, _CROPS, _DEGRADATIONS = 0, 1, 2
"""Keys that keep the random streams of images, crops and degradations apart."""


class Drawing(Protocol):
    """Part of a config that says how patches are drawn."""

    @property
    def seed(self) -> int:
        """Seed of all that is random."""
        ...

    @property
    def data(self) -> Data:
        """Sources of the patches."""
        ...

    def phase(self, step: int) -> Phase:
        """Return the patches' size and number at a step."""
        ...


class PatchBatches:
    """Batches by step; their images come from a window that slides on as steps pass."""

    def __init__(self, config: Drawing, photos: Photos | None = None) -> None:
        """Make batches of a config.

        Raises:
            UnsupportedError: there is no degradation of the config's name.
        """
        self.config, self.photos = config, photos
        self._settings = find_settings(config.data.degradation)
        self._images: dict[int, NDArray[np.uint8]] = {}

    def load(self, step: int, part: int = 0, parts: int = 1) -> Raw:
        """Return the patches of ``step``, or every ``parts``-th of them from ``part`` on."""
        phase, data = self.config.phase(step), self.config.data
        oldest = step // data.refresh
        self._forget(oldest)
        patches, keys = [], []
        for item in range(part, phase.batch, parts):
            rng = np.random.default_rng([self.config.seed, _CROPS, step, item])
            index = oldest + int(rng.integers(data.pool))
            patches.append(self._patch(rng, index, phase.patch))
            keys.append([self.config.seed, _DEGRADATIONS, step, item])
        high = torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2)
        return Raw(high=high, keys=torch.tensor(keys))

    def finish(self, raw: Raw) -> Batch:
        """Degrade the patches, each from the seed that its key is."""
        low = degrade_batch(raw.high, raw.keys, self._settings)
        memory = torch.channels_last
        return Batch(
            low=low.contiguous(memory_format=memory),
            high=raw.high.contiguous(memory_format=memory),
        )

    def _patch(self, rng: Random, index: int, side: int) -> Array:
        data = self.config.data
        high = _vary(_crop(self._image(index), side, rng), rng)
        if rng.random() < data.vivid:
            high = _saturate(high, rng)
        # Drawn only where asked for, so that other configs' patches stay what they were.
        if data.soft and rng.random() < data.soft:
            high = defocus(high, rng)
        if data.faint and rng.random() < data.faint:
            high = fade(high, rng)
        if data.flat and rng.random() < data.flat:
            high = np.broadcast_to(draw_colour(rng), high.shape)
        return high

    def _image(self, index: int) -> NDArray[np.uint8]:
        """Return image ``index`` of the run, read or made when it is first needed."""
        if index not in self._images:
            rng = np.random.default_rng([self.config.seed, _IMAGES, index])
            self._images[index] = self._make_image(rng)
        return self._images[index]

    def _make_image(self, rng: Random) -> NDArray[np.uint8]:
        data = self.config.data
        if self.photos is not None and rng.random() < data.photos:
            return self.photos.square(rng, data.image_side)
        return np.asarray((make_synthetic_image(rng, data.image_side) * 255).round(), np.uint8)

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


def defocus(image: Array, rng: Random) -> Array:
    """Blur until little is left that four pixels can't carry: sky, skin, cells, bokeh."""
    sigma = float(np.exp(rng.uniform(np.log(1.5), np.log(6.0))))
    return blur(image, (sigma, sigma))


def fade(image: Array, rng: Random) -> Array:
    """Lower the contrast: skin, fog, vessels, cells."""
    mean = image.mean((0, 1), keepdims=True)
    return as_array(
        mean + (image - mean) * np.float32(np.exp(rng.uniform(np.log(0.08), np.log(0.5))))
    )


def darken(image: Array, rng: Random) -> Array:
    """Lower the exposure: night, micrographs, telescopes."""
    return as_array(image * np.float32(np.exp(rng.uniform(np.log(0.05), np.log(0.5)))))


def add_grain(image: Array, rng: Random) -> Array:
    """Add the noise of a sensor behind its optics, of one grey or of three channels."""
    channels = 1 if rng.random() < 0.5 else 3
    noise = as_array(rng.normal(0, 1, (*image.shape[:2], channels)))
    smooth = blur(noise, (sigma := float(rng.uniform(0.1, 1.5)), sigma))
    level = np.float32(np.exp(rng.uniform(np.log(0.3), np.log(3.0))) / 255)
    return as_array((image + level / smooth.std() * smooth).clip(0, 1))


def draw_colour(rng: Random) -> Array:
    """Return one colour ``[3]`` in [0, 1]; half of them lie in the shadows, where errors show."""
    level = rng.random(3) ** (3 if rng.random() < 0.5 else 1)
    return as_array((level * 255).round() / 255)
