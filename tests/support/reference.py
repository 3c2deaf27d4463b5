"""MODEL.md's inference recipe, written down plainly in PyTorch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from tests.support.bundles import OVERLAP, TILE, TwinModel

Array = NDArray[Any]


def photo(width: int, height: int) -> Array:
    """Return a smooth image with some noise, float32 [H, W, 3] in [0, 1]."""
    rng = np.random.default_rng(width * 1000 + height)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = [0.5 + 0.3 * np.sin(x / 9 + c) * np.cos(y / 7 - c) for c in range(3)]
    noisy = np.stack(waves, axis=2) + rng.normal(0, 0.05, (height, width, 3))
    return noisy.clip(0, 1).astype(np.float32)


def resized(image: Tensor, width: int, height: int) -> Tensor:
    planes = [
        np.array(Image.fromarray(p).resize((width, height), Image.Resampling.BICUBIC))
        for p in image.numpy()
    ]
    return torch.from_numpy(np.stack(planes)).clamp(0, 1)


def reference(image: Array, color: str) -> Array:
    """Upscale [H, W, 3] by MODEL.md's inference recipe with the size rules of this runtime."""
    model = TwinModel()
    lr = torch.from_numpy(image).permute(2, 0, 1).contiguous()
    height, width = lr.shape[1:]
    short, long = min(height, width), max(height, width)
    if short < TILE and long / short <= 16:
        lr = resized(lr, *(max(TILE, math.floor(s * TILE / short + 0.5)) for s in (width, height)))
    rows, columns = (-(-max(side, TILE) // 4) * 4 for side in lr.shape[1:])
    padded = F.pad(lr[None], (0, columns - lr.shape[2], 0, rows - lr.shape[1]), mode="replicate")

    z = model.encode(padded)
    t = TILE // 2
    total, weights = torch.zeros_like(z), torch.zeros_like(z)
    axis = torch.arange(t, dtype=torch.float64)
    line = torch.exp(-((axis - (t - 1) / 2) ** 2) / t**2 / (2 * 0.01)) / math.sqrt(
        2 * math.pi * 0.01
    )
    weight = (line[:, None] * line[None, :]).float()
    for top in corners(z.shape[2], t):
        for left in corners(z.shape[3], t):
            area = (..., slice(top, top + t), slice(left, left + t))
            total[area] += model.predict(z[area]) * weight
            weights[area] += weight
    sr = model.decode(z - total / weights)[0, :, : 4 * lr.shape[1], : 4 * lr.shape[2]]

    if color == "adain":
        sr = adain(sr, lr)
    if color == "wavelet":
        enlarged = F.interpolate(lr[None], scale_factor=4, mode="bicubic", align_corners=False)
        sr = (split(sr[None])[0] + split(enlarged)[1])[0]
    if sr.shape[1:] != (4 * height, 4 * width):
        sr = resized(sr, 4 * width, 4 * height)
    return sr.clamp(0, 1).permute(1, 2, 0).numpy()


def corners(length: int, t: int) -> list[int]:
    found, position = [], 0
    while position + t < length:
        found.append(position)
        position += t - OVERLAP
    return [*found, length - t]


def adain(sr: Tensor, lr: Tensor) -> Tensor:
    def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
        flat = x.flatten(1)
        return flat.mean(1)[:, None, None], (flat.var(1) + 1e-5).sqrt()[:, None, None]

    (sr_mean, sr_std), (lr_mean, lr_std) = statistics(sr), statistics(lr)
    return (sr - sr_mean) / sr_std * lr_std + lr_mean


def split(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the high bands' sum and the low band of [1, 3, H, W]."""
    kernel = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    kernel = kernel[None, None].repeat(3, 1, 1, 1)
    high = torch.zeros_like(image)
    for level in range(5):
        r = 2**level
        low = F.conv2d(F.pad(image, (r, r, r, r), mode="replicate"), kernel, groups=3, dilation=r)
        high += image - low
        image = low
    return high, image
