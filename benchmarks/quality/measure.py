"""All metrics of a model on photos; those without their weights are not measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from tinysr.training.evaluate import (
    PhotoPair,
    Upscale,
    measure_distance,
    score_images,
    upscale_array,
)
from tinysr.training.losses.efficientnet import EfficientNetDistance
from tinysr.training.losses.features import FeatureDistance
from tinysr.training.spectral import Array

from .dists import Dists
from .niqe import Niqe

__all__ = ["METRICS", "Quality", "WeightedMetrics", "measure"]

METRICS = ("psnr", "ssim", "features", "lpips", "dists", "niqe")
"""Names of the metrics: PSNR in dB, the others without a unit; of PSNR and SSIM more is better, of
the others less."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightedMetrics:
    """The metrics that need weights, where there are any."""

    features: EfficientNetDistance | None = None
    lpips: FeatureDistance | None = None
    dists: Dists | None = None
    niqe: Niqe | None = None

    @classmethod
    def of(
        cls,
        *,
        features: Path | None = None,
        lpips: Path | None = None,
        dists: Path | None = None,
        niqe: Path | None = None,
    ) -> Self:
        """Read the weights at each path.

        Raises:
            CheckpointError: a file doesn't hold what its metric needs.
        """
        return cls(
            features=EfficientNetDistance(features) if features else None,
            lpips=FeatureDistance(lpips) if lpips else None,
            dists=Dists(dists) if dists else None,
            niqe=Niqe(niqe) if niqe else None,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """A model's means over all photos and degradations; None is not measured."""

    psnr: float
    """Mean PSNR, in dB."""
    ssim: float
    features: float | None
    """Distance in the features of EfficientNet-Lite0."""
    lpips: float | None
    dists: float | None
    niqe: float | None
    """Mean NIQE over the photos that have two patches of 96² pixels or more."""


def measure(upscale: Upscale, pairs: Sequence[PhotoPair], metrics: WeightedMetrics) -> Quality:
    """Return the means of ``upscale`` over ``pairs``."""
    images = [upscale_array(upscale, pair.low) for pair in pairs]
    scores = score_images(images, pairs)
    truths = [pair.high for pair in pairs]
    with torch.no_grad():
        return Quality(
            psnr=float(np.mean([score.psnr for score in scores])),
            ssim=float(np.mean([score.ssim for score in scores])),
            features=_distance(metrics.features, images, truths),
            lpips=_distance(metrics.lpips, images, truths),
            dists=_distance(metrics.dists, images, truths),
            niqe=None if metrics.niqe is None else _mean(metrics.niqe, images),
        )


def _distance(
    metric: torch.nn.Module | None, images: Sequence[Array], truths: Sequence[Array]
) -> float | None:
    if metric is None:
        return None
    pairs = zip(images, truths, strict=True)
    return float(np.mean([measure_distance(metric, image, truth) for image, truth in pairs]))


def _mean(metric: Niqe, images: Sequence[Array]) -> float | None:
    tensors = [_batch(image)[0] for image in images]
    scores = [metric(tensor) for tensor in tensors if metric.takes(tensor)]
    return float(np.mean(scores)) if scores else None


def _batch(image: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
