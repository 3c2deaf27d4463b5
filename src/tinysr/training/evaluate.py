"""Evaluation on degraded photos that the model has never seen, against bicubic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tinysr.decibels import psnr_of_mse
from tinysr.errors import require
from tinysr.models import SCALE, TinySR
from tinysr.runtime.color import adain
from tinysr.training.degradations.fixed import LIGHT, SEVERE, Degradation, degrade
from tinysr.training.spectral import Array

__all__ = [
    "HELD_OUT",
    "PHOTOS",
    "Distance",
    "PhotoPair",
    "PhotoScore",
    "Upscale",
    "evaluate",
    "mean_psnr",
    "measure_distance",
    "photo_pairs",
    "psnr",
    "score_images",
    "upscale_bicubic",
    "with_adain",
    "with_constant_prediction",
]

PHOTOS = (
    "astronaut",
    "camera",
    "chelsea",
    "coffee",
    "rocket",
    "hubble_deep_field",
    "brick",
    "moon",
)
"""Validation photos, by their names in ``skimage.data``: images that its wheel carries.

Runs are measured on them while they train, and nothing learns from them."""

HELD_OUT = (
    "cell",
    "clock",
    "coins",
    "grass",
    "gravel",
    "immunohistochemistry",
    "microaneurysms",
    "page",
    "retina",
    "text",
)
"""Held-out photos, the wheel's others: only finished models are measured on them."""

EVALUATION: dict[str, Degradation] = {"light": LIGHT, "severe": SEVERE}
"""The degradations that each photo gets, each from a seed of its own."""

_SEED = 7
_SIDE = 512

Distance = Callable[[Tensor, Tensor], Tensor]
"""Distance of two batches ``[N, 3, H, W]`` in [0, 1], such as a network's features tell."""

Upscale = Callable[[Tensor], Tensor]
"""Low resolution ``[1, 3, h, w]`` to ``[1, 3, 4h, 4w]``, both in [0, 1]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoPair:
    """A photo and a degraded version of it."""

    photo: str
    degradation: str
    low: Array
    """``[h, w, 3]`` in [0, 1]."""
    high: Array
    """``[4h, 4w, 3]`` in [0, 1]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotoScore:
    """Fidelity of one upscaled photo."""

    photo: str
    degradation: str
    psnr: float
    """PSNR in dB, over all pixels and channels of the clamped image."""
    ssim: float
    features: float | None = None
    """Distance in a network's features; None is not measured."""


def photo_pairs(names: Sequence[str] = PHOTOS) -> list[PhotoPair]:
    """Return every photo (its middle, 512² at most) under every evaluation degradation."""
    pairs = []
    for index, name in enumerate(names):
        high = _photo(name)
        for kind, (label, settings) in enumerate(EVALUATION.items()):
            rng = np.random.default_rng([_SEED, index, kind])
            low = degrade(high, rng, settings)
            pairs.append(PhotoPair(photo=name, degradation=label, low=low, high=high))
    return pairs


def _photo(name: str) -> Array:
    data = require("skimage.data", extra="train")
    image = np.asarray(getattr(data, name)())
    if image.ndim == 2:
        image = np.repeat(image[..., None], 3, axis=2)
    rows, columns = (min(side, _SIDE) // 16 * 16 for side in image.shape[:2])
    top, left = (image.shape[0] - rows) // 2, (image.shape[1] - columns) // 2
    crop = image[top : top + rows, left : left + columns, :3]
    return crop.astype(np.float32) / np.float32(255)


def upscale_bicubic(low: Tensor) -> Tensor:
    """Upscale by the interpolation that every model here has to beat."""
    return F.interpolate(low, scale_factor=SCALE, mode="bicubic", align_corners=False)


def with_adain(upscale: Upscale) -> Upscale:
    """Follow ``upscale`` by the runtime's default colour match."""

    def match_colours(low: Tensor) -> Tensor:
        image = upscale(low)[0].numpy()
        return torch.from_numpy(adain(image, low[0].contiguous().numpy()))[None]

    return match_colours


def with_constant_prediction(model: TinySR) -> Upscale:
    """Put v's average over all tokens in the place of v: what is lost is the transformer's part."""
    patch = model.config.transformer.patch

    def ablate(low: Tensor) -> Tensor:
        z = model.encode(low)
        v = model.predict(z)
        rows, columns = v.shape[2] // patch, v.shape[3] // patch
        token = v.reshape(*v.shape[:2], rows, patch, columns, patch).mean((2, 4))
        return model.decode(z - token.repeat(1, 1, rows, columns))

    return ablate


def evaluate(
    upscale: Upscale, pairs: Sequence[PhotoPair], features: Distance | None = None
) -> list[PhotoScore]:
    """Return the score of ``upscale`` on each pair, in ``features`` too where they are given."""
    return score_images([upscale_array(upscale, pair.low) for pair in pairs], pairs, features)


def score_images(
    images: Sequence[Array], pairs: Sequence[PhotoPair], features: Distance | None = None
) -> list[PhotoScore]:
    """Return the score of each image ``[4h, 4w, 3]`` in [0, 1], against its pair's original."""
    metrics = require("skimage.metrics", extra="train")
    scores = []
    for image, pair in zip(images, pairs, strict=True):
        ssim = metrics.structural_similarity(pair.high, image, channel_axis=2, data_range=1.0)
        scores.append(
            PhotoScore(
                photo=pair.photo,
                degradation=pair.degradation,
                psnr=psnr(image, pair.high),
                ssim=float(ssim),
                features=measure_distance(features, image, pair.high) if features else None,
            )
        )
    return scores


def measure_distance(distance: Distance, image: Array, truth: Array) -> float:
    """Return the distance of two images ``[H, W, 3]`` in [0, 1]."""
    first, second = (torch.from_numpy(np.ascontiguousarray(a)) for a in (image, truth))
    with torch.no_grad():
        return float(distance(first.permute(2, 0, 1)[None], second.permute(2, 0, 1)[None]))


def mean_psnr(upscale: Upscale, pairs: Sequence[PhotoPair]) -> float:
    """Return the mean PSNR of ``upscale`` over ``pairs``, in dB."""
    return float(np.mean([psnr(upscale_array(upscale, pair.low), pair.high) for pair in pairs]))


def upscale_array(upscale: Upscale, low: Array) -> Array:
    """Upscale ``[h, w, 3]`` and clamp to [0, 1]."""
    tensor = torch.from_numpy(low).permute(2, 0, 1)[None]
    with torch.no_grad():
        image: Array = upscale(tensor)[0].clamp(0, 1).permute(1, 2, 0).numpy()
    return image


def psnr(image: Array, truth: Array) -> float:
    """Return the PSNR of two images in [0, 1], over all pixels and channels, in dB."""
    error = float(np.mean((image.astype(np.float64) - truth) ** 2))
    return psnr_of_mse(max(error, 1e-12))
