"""The perceptual loss that a config asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from torch import nn

from tinysr.errors import UnsupportedError
from tinysr.training.losses.alternatives import HaarDistance, MultiScaleGradient
from tinysr.training.losses.efficientnet import EfficientNetDistance
from tinysr.training.losses.features import FeatureDistance

__all__ = ["NETWORKS", "PerceptualName", "make_perceptual"]

PerceptualName = Literal["lpips", "efficientnet-lite0", "multi-scale-gradient", "wavelet"]

NETWORKS: Mapping[str, Callable[[Path], nn.Module]] = {
    "lpips": FeatureDistance,
    "efficientnet-lite0": EfficientNetDistance,
}
"""Losses that need the weights of a trained network."""

_ALTERNATIVES: Mapping[str, Callable[[], nn.Module]] = {
    "multi-scale-gradient": MultiScaleGradient,
    "wavelet": HaarDistance,
}


def make_perceptual(name: PerceptualName, features: Path | None) -> nn.Module:
    """Return the loss of a name: a module that maps two batches of images to their distance.

    Args:
        name: a distance in a network's features, or a stand-in that needs no trained network.
        features: the file of the network's weights.

    Raises:
        UnsupportedError: a network's features are asked for without the network.
        CheckpointError: the network can't be used.
    """
    if name not in NETWORKS:
        return _ALTERNATIVES[name]()
    if features is None:
        raise UnsupportedError(
            f"the perceptual loss '{name}' needs a feature network: give --input features=FILE, or "
            f"set perceptual to one of {', '.join(_ALTERNATIVES)}"
        )
    return NETWORKS[name](features)
