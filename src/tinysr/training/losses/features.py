"""LPIPS: the distance of two images in the features of a trained network (Zhang et al. 2018).

The weights come from a safetensors file, whose keys tell the network: torchvision's VGG16, AlexNet
or SqueezeNet 1.1 (``features.0.weight`` …), and LPIPS's own linear weights (``lin0.model.1.weight``
…). Without those the layers count alike, which the paper calls the baseline. Nothing but tensors is
read: a TorchScript or pickled network could hold code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.files import read_safetensors

__all__ = ["DEVIATION", "MEAN", "FeatureDistance", "to_unit_length"]

MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet's images in [0, 1], by channel."""

DEVIATION = (0.229, 0.224, 0.225)
"""Deviation of ImageNet's images in [0, 1], by channel."""

_LINEAR = re.compile(r"^lins?\.?(\d+)\.(?:model\.1\.)?weight$")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Network:
    """A network of torchvision's layout, and the layers that LPIPS looks at."""

    name: str
    layers: tuple[str, ...]
    """``cN``: a convolution of stride N; ``r``: ReLU; ``pK``: a pooling of side
    K and stride 2, ``sK`` one that keeps a cut-off border; ``f``: a fire module."""
    taps: tuple[int, ...]
    """Places in ``layers`` after which features are compared."""


_VGG16 = _Network(
    name="VGG16",
    layers=tuple(" p2 ".join(" ".join(["c1 r"] * count) for count in (2, 2, 3, 3, 3)).split()),
    taps=(3, 8, 15, 22, 29),
)
_ALEXNET = _Network(
    name="AlexNet",
    layers=("c4", "r", "p3", "c1", "r", "p3", "c1", "r", "c1", "r", "c1", "r"),
    taps=(1, 4, 7, 9, 11),
)
_SQUEEZENET = _Network(
    name="SqueezeNet 1.1",
    layers=("c2", "r", "s3", "f", "f", "s3", "f", "f", "s3", "f", "f", "f", "f"),
    taps=(1, 4, 7, 9, 10, 11, 12),
)
_NETWORKS = (_VGG16, _ALEXNET, _SQUEEZENET)


class FeatureDistance(nn.Module):
    """LPIPS of two batches of images."""

    def __init__(self, path: Path) -> None:
        """Read a network.

        Raises:
            CheckpointError: the file is no safetensors file, or of no known network.
        """
        super().__init__()
        tensors, _ = read_safetensors(path)
        self._network = _recognise(tensors, path)
        self.features = _build(self._network, tensors)
        self.linear = _linear(tensors, len(self._network.taps), path)
        self.mean: Tensor
        self.deviation: Tensor
        for name, values in (("mean", MEAN), ("deviation", DEVIATION)):
            self.register_buffer(name, torch.tensor(values)[:, None, None])
        self.requires_grad_(False).eval()

    @property
    def kind(self) -> str:
        """What the distance is called in logs and cards."""
        weighted = "LPIPS" if self.linear is not None else "unweighted LPIPS"
        return f"{weighted}, {self._network.name}"

    def forward(self, image: Tensor, truth: Tensor) -> Tensor:
        """Return the mean distance of ``[N, 3, H, W]`` in [0, 1] from ``truth``."""
        found, expected = self._taps(image.float()), self._taps(truth.float())
        total = image.new_zeros((), dtype=torch.float32)
        for index, (a, b) in enumerate(zip(found, expected, strict=True)):
            apart = (to_unit_length(a) - to_unit_length(b)).square()
            if self.linear is None:
                total = total + apart.sum(1).mean()
            else:
                total = total + F.conv2d(apart, self.linear[index]).mean()
        return total

    def _taps(self, image: Tensor) -> list[Tensor]:
        # LPIPS scales to [-1, 1] first and uses constants for that range; these are the same.
        x = (image - self.mean) / self.deviation
        found = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._network.taps:
                found.append(x)
        return found


def to_unit_length(features: Tensor) -> Tensor:
    """Scale the features of each pixel to length 1."""
    return features / (features.square().sum(1, keepdim=True).sqrt() + 1e-10)


class _Fire(nn.Module):
    """SqueezeNet's module: squeeze, then two expansions side by side."""

    def __init__(self, squeeze: nn.Conv2d, one: nn.Conv2d, three: nn.Conv2d) -> None:
        super().__init__()
        self.squeeze, self.one, self.three = squeeze, one, three

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, H, W]`` to ``[N, C', H, W]``."""
        y = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.one(y)), F.relu(self.three(y))], dim=1)


def _recognise(tensors: Mapping[str, Tensor], path: Path) -> _Network:
    """Return the network whose convolutions lie where the file has them."""
    found = {name for name in tensors if name.startswith("features.")}
    for network in _NETWORKS:
        wanted = {
            f"features.{i}{part}.weight"
            for i, layer in enumerate(network.layers)
            for part in _parts(layer)
        }
        if wanted <= found and {n for n in found if n.endswith(".weight")} == wanted:
            return network
    known = ", ".join(network.name for network in _NETWORKS)
    raise CheckpointError(
        f"{path}: expected a feature network in torchvision's layout ({known}), found none"
    )


def _parts(layer: str) -> tuple[str, ...]:
    if layer.startswith("c"):
        return ("",)
    return (".squeeze", ".expand1x1", ".expand3x3") if layer == "f" else ()


def _build(network: _Network, tensors: Mapping[str, Tensor]) -> nn.ModuleList:
    layers = nn.ModuleList()
    for index, layer in enumerate(network.layers):
        convs = [
            _conv(tensors, f"features.{index}{part}", 1 if layer == "f" else int(layer[1:]))
            for part in _parts(layer)
        ]
        layers.append(_layer(layer, convs))
    return layers


def _layer(layer: str, convs: list[nn.Conv2d]) -> nn.Module:
    if layer == "f":
        return _Fire(*convs)
    if layer.startswith("c"):
        return convs[0]
    if layer == "r":
        return nn.ReLU()
    return nn.MaxPool2d(int(layer[1:]), 2, ceil_mode=layer.startswith("s"))


def _conv(tensors: Mapping[str, Tensor], name: str, stride: int) -> nn.Conv2d:
    weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
    side = weight.shape[2]
    # AlexNet's and SqueezeNet's first convolutions have borders of their own.
    padding = {11: 2, 5: 2}.get(side, side // 2 if stride == 1 else 0)
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], side, stride, padding)
    with torch.no_grad():
        conv.weight.copy_(weight)
        conv.bias.copy_(bias)  # type: ignore[union-attr]
    return conv


def _linear(tensors: Mapping[str, Tensor], count: int, path: Path) -> nn.ParameterList | None:
    """Return LPIPS's weight of each channel ``[1, C, 1, 1]``, layer by layer."""
    found = {int(m[1]): v for n, v in tensors.items() if (m := _LINEAR.match(n))}
    if not found:
        return None
    if sorted(found) != list(range(count)):
        raise CheckpointError(
            f"{path}: expected LPIPS's {count} linear weights, found {len(found)}"
        )
    return nn.ParameterList([found[index].reshape(1, -1, 1, 1) for index in range(count)])
