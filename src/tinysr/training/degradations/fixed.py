"""The degradations of evaluation and calibration: fixed, so that figures stay comparable.

An image goes twice through blur, resize, noise and JPEG (Real-ESRGAN, section 3), or once, lightly.
Training has the whole pipeline, for batches, in :mod:`tinysr.training.degradations`.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from tinysr.models import SCALE
from tinysr.training.spectral import Array, Random, blur, cut_frequencies

__all__ = ["LIGHT", "MIXED", "SEVERE", "Degradation", "Strength", "degrade"]

Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Strength:
    """One round of blur, resize, noise and JPEG; ranges are drawn from uniformly."""

    sigma: Range
    """Deviation of the blur, in pixels of the stage's input."""
    anisotropic: float
    """Share of blurs that are longer along a random direction."""
    ringing: float
    """Share of images that get a sinc filter after the resize."""
    noise: Range
    """Deviation of the Gaussian noise, in 1/255."""
    poisson: float
    """Share of images whose noise grows with the root of the brightness."""
    jpeg: float
    """Share of images that are compressed."""
    quality: Range


@dataclass(frozen=True, kw_only=True, slots=True)
class Degradation:
    """How a high-resolution image becomes a low-resolution one."""

    light: float
    """Share of images with the ``last`` stage alone, in its ``gentle`` form."""
    first: Strength
    resize: Range
    """Scale of the first stage's resize."""
    last: Strength
    gentle: Strength


_FIRST = Strength(
    sigma=(0.2, 2.0),
    anisotropic=0.4,
    ringing=0.1,
    noise=(0.5, 10),
    poisson=0.4,
    jpeg=0.8,
    quality=(60, 95),
)
_LAST = Strength(
    sigma=(0.1, 1.0),
    anisotropic=0.3,
    ringing=0.1,
    noise=(0, 5),
    poisson=0.4,
    jpeg=0.9,
    quality=(45, 95),
)
_GENTLE = Strength(
    sigma=(0.1, 0.8),
    anisotropic=0,
    ringing=0,
    noise=(0, 3),
    poisson=0.3,
    jpeg=0.6,
    quality=(78, 96),
)

MIXED = Degradation(light=0.4, first=_FIRST, resize=(0.45, 1.2), last=_LAST, gentle=_GENTLE)
"""Degradations that calibration draws from."""

LIGHT = Degradation(light=1, first=_FIRST, resize=(0.45, 1.2), last=_LAST, gentle=_GENTLE)
SEVERE = Degradation(light=0, first=_FIRST, resize=(0.45, 1.2), last=_LAST, gentle=_GENTLE)


def degrade(image: Array, rng: Random, settings: Degradation = MIXED) -> Array:
    """Map ``[H, W, 3]`` in [0, 1], sides divisible by 4, to ``[H/4, W/4, 3]`` in [0, 1].

    The result lies on the 8-bit grid, as a decoded file does.
    """
    rows, columns = image.shape[:2]
    target = (rows // SCALE, columns // SCALE)
    if rng.random() < settings.light:
        return _apply(settings.gentle, image, target, rng)
    scale = rng.uniform(*settings.resize)
    middle = (max(round(rows * scale), target[0]), max(round(columns * scale), target[1]))
    return _apply(settings.last, _apply(settings.first, image, middle, rng), target, rng)


def _apply(stage: Strength, image: Array, size: tuple[int, int], rng: Random) -> Array:
    sigma = rng.uniform(*stage.sigma)
    longer = sigma * rng.uniform(1, 2) if rng.random() < stage.anisotropic else sigma
    small = _resize(blur(image, (longer, sigma), rng.uniform(0, np.pi)), size, rng)
    if rng.random() < stage.ringing:
        small = cut_frequencies(small, rng.uniform(0.25, 0.45))
    small = _noise(stage, small, rng)
    if rng.random() < stage.jpeg:
        return _jpeg(small, round(rng.uniform(*stage.quality)))
    return (_to_bytes(small) / np.float32(255)).astype(np.float32)


def _resize(image: Array, size: tuple[int, int], rng: Random) -> Array:
    tensor = torch.from_numpy(image).permute(2, 0, 1)[None]
    mode = ("area", "bilinear", "bicubic")[rng.integers(3)]
    if mode == "area":
        small = F.interpolate(tensor, size=size, mode=mode)
    else:
        small = F.interpolate(tensor, size=size, mode=mode, antialias=True)
    result: Array = small[0].permute(1, 2, 0).numpy().clip(0, 1)
    return result


def _noise(stage: Strength, image: Array, rng: Random) -> Array:
    sigma = rng.uniform(*stage.noise) / 255
    grey = rng.random() < 0.4
    shape = (*image.shape[:2], 1 if grey else 3)
    noise = rng.standard_normal(shape, dtype=np.float32) * np.float32(sigma)
    if rng.random() < stage.poisson:
        noise = noise * np.sqrt(2 * image.clip(0, 1))
    return image + noise


def _to_bytes(image: Array) -> np.ndarray:
    return np.asarray((image * 255).round().clip(0, 255), dtype=np.uint8)


def _jpeg(image: Array, quality: int) -> Array:
    buffer = io.BytesIO()
    Image.fromarray(_to_bytes(image)).save(buffer, "JPEG", quality=quality)
    with Image.open(buffer) as decoded:
        return np.asarray(decoded.convert("RGB"), dtype=np.float32) / np.float32(255)
