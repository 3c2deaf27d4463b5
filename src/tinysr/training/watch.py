"""Metrics measured on photos while a stage trains: the curve beside the loss."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tinysr.training.engine import TrainingStage
from tinysr.training.evaluate import (
    Upscale,
    measure_distance,
    photo_pairs,
    psnr,
    upscale_array,
    with_constant_prediction,
)
from tinysr.training.losses.efficientnet import EfficientNetDistance

__all__ = ["CONSTANT", "ValidationWatcher"]

CONSTANT = ", v constant"
"""Suffix of a measure's name where the transformer's prediction is averaged over the image."""


class ValidationWatcher:
    """Measures a stage on the validation photos: PSNR, and the distance in features where it can.

    A stage whose model upscales by itself is measured without its transformer's part, too: the
    difference is what the transformer adds.
    """

    def __init__(self, device: torch.device, features: Path | None = None) -> None:
        """Measure on ``device``; ``features`` are the weights of EfficientNet-Lite0.

        Raises:
            CheckpointError: the weights can't be used.
        """
        self._device = device
        self._pairs = functools.cache(photo_pairs)
        self._features = EfficientNetDistance(features) if features else None

    def __call__(self, stage: TrainingStage) -> Mapping[str, float]:
        """Return each measure by its name: ``psnr`` in dB, ``features`` without a unit."""
        rows = self._measure(stage.upscale)
        whole = stage.get_upscaler()
        if whole is not None:
            ablated = self._measure(with_constant_prediction(whole))
            rows |= {f"{name}{CONSTANT}": value for name, value in ablated.items()}
        return rows

    def _measure(self, upscale: Upscale) -> dict[str, float]:
        def upscale_here(low: Tensor) -> Tensor:
            return upscale(low.to(self._device)).cpu()

        images = [(upscale_array(upscale_here, pair.low), pair.high) for pair in self._pairs()]
        rows = {"psnr": _mean([psnr(image, truth) for image, truth in images])}
        if self._features is not None:
            distance = self._features
            rows["features"] = _mean([measure_distance(distance, *pair) for pair in images])
        return rows


def _mean(values: list[float]) -> float:
    return float(np.mean(values))
