"""Which perceptual loss a config asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal

from torch import nn

from tinysr.errors import UnsupportedError
from tinysr.training.losses.alternatives import MultiScaleGradient, Wavelet
from tinysr.training.losses.features import FeatureDistance

__all__ = ["PerceptualName", "perceptual"]

PerceptualName = Literal["lpips", "multi-scale-gradient", "wavelet"]

_ALTERNATIVES: Mapping[str, Callable[[], nn.Module]] = {
    "multi-scale-gradient": MultiScaleGradient,
    "wavelet": Wavelet,
}


def perceptual(name: PerceptualName, features: Path | None) -> nn.Module:
    """Return the loss of a name: a module that maps two batches of images to their distance.

    Args:
        name: LPIPS, or a stand-in that needs no trained network.
        features: the safetensors file of LPIPS's network.

    Raises:
        UnsupportedError: LPIPS is asked for without its network.
        CheckpointError: the network can't be used.
    """
    if name != "lpips":
        return _ALTERNATIVES[name]()
    if features is None:
        raise UnsupportedError(
            "the perceptual loss 'lpips' needs a feature network: give --input features=FILE, or "
            f"set perceptual to one of {', '.join(_ALTERNATIVES)}"
        )
    return FeatureDistance(features)
