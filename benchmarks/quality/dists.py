"""DISTS: structure and texture similarity in VGG16's features (Ding et al. 2020).

The weights are one safetensors file: torchvision's VGG16 (``features.N``) with DISTS's ``alpha``
and ``beta``, a weight per channel of the image and of five stages.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.files import read_safetensors
from tinysr.training.losses.features import FeatureDistance

__all__ = ["Dists"]

_STAGE_ENDS = (3, 8, 15, 22, 29)
_POOLS = (4, 9, 16, 23)
_SMALL = 1e-6


class Dists(nn.Module):
    """The distance of two batches of images, 0 for equal ones."""

    def __init__(self, path: Path) -> None:
        """Read the network and the weights.

        Raises:
            CheckpointError: the file has no VGG16, or no weights that fit it.
        """
        super().__init__()
        network = FeatureDistance(path)
        if "VGG16" not in network.kind:
            raise CheckpointError(f"{path}: DISTS expects VGG16, found {network.kind}")
        self.layers, self.mean, self.deviation = network.features, network.mean, network.deviation
        tensors, _ = read_safetensors(path)
        widths = [3, *(tensors[f"features.{end - 1}.weight"].shape[0] for end in _STAGE_ENDS)]
        if any(tensors.get(n, torch.empty(0)).numel() != sum(widths) for n in ("alpha", "beta")):
            raise CheckpointError(f"{path}: expected alpha and beta of {sum(widths)} channels each")
        total = tensors["alpha"].sum() + tensors["beta"].sum()
        self._alphas, self._betas = (
            torch.split(tensors[name].flatten() / total, widths) for name in ("alpha", "beta")
        )

    @torch.no_grad()
    def forward(self, image: Tensor, truth: Tensor) -> Tensor:
        """Return the mean distance of ``[N, 3, H, W]`` in [0, 1] from ``truth``."""
        score = image.new_zeros(len(image))
        pairs = zip(self._stages(image), self._stages(truth), strict=True)
        for (x, y), alpha, beta in zip(pairs, self._alphas, self._betas, strict=True):
            x_mean, y_mean = x.mean((2, 3)), y.mean((2, 3))
            texture = (2 * x_mean * y_mean + _SMALL) / (x_mean**2 + y_mean**2 + _SMALL)
            x_spread = x.var((2, 3), correction=0)
            y_spread = y.var((2, 3), correction=0)
            shared = (x * y).mean((2, 3)) - x_mean * y_mean
            structure = (2 * shared + _SMALL) / (x_spread + y_spread + _SMALL)
            score = score + (alpha * texture + beta * structure).sum(1)
        return 1 - score.mean()

    def _stages(self, image: Tensor) -> list[Tensor]:
        """Return the image and the features at each stage's end."""
        found, x = [image], (image - self.mean) / self.deviation
        for index, layer in enumerate(self.layers):
            x = _smooth_pool(x) if index in _POOLS else layer(x)
            if index in _STAGE_ENDS:
                found.append(x)
        return found


def _smooth_pool(x: Tensor) -> Tensor:
    """Halve by the root of a blurred square: it does not alias, as a maximum does."""
    line = x.new_tensor([0.5, 1.0, 0.5])
    kernel = torch.outer(line, line) / 4
    weight = kernel.expand(x.shape[1], 1, 3, 3)
    return (F.conv2d(x.square(), weight, stride=2, padding=1, groups=x.shape[1]) + 1e-12).sqrt()
