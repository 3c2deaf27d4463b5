"""The distance in EfficientNet-Lite0's features, against the network written out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.training.losses.efficientnet import EfficientNetDistance

WIDTHS = (4, 6, 6, 8, 8, 10, 10, 10, 12, 12, 12)
"""Of each block, a twelfth of the network's or so."""

STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1)
SIDES = (3, 3, 3, 5, 5, 3, 3, 3, 5, 5, 5)
TAPS = (0, 2, 4, 7, 10)


def weights() -> dict[str, Tensor]:
    """Return a narrow network's weights under the released names."""
    generator = torch.Generator().manual_seed(0)
    tensors: dict[str, Tensor] = {}

    def conv(name: str, norm: str, outputs: int, inputs: int, side: int) -> None:
        scale = (2 / (inputs * side**2)) ** 0.5
        tensors[f"{name}.weight"] = torch.randn(outputs, inputs, side, side, generator=generator)
        tensors[f"{name}.weight"] *= scale
        for part in ("weight", "bias", "running_mean", "running_var"):
            values = torch.rand(outputs, generator=generator)
            tensors[f"{norm}.{part}"] = values + (0.5 if part != "bias" else 0)
        tensors[f"{norm}.num_batches_tracked"] = torch.tensor(7)

    conv("_conv_stem", "_bn0", 4, 3, 3)
    inputs = 4
    for index, (width, side) in enumerate(zip(WIDTHS, SIDES, strict=True)):
        name, inner = f"_blocks.{index}", inputs
        if index:
            inner = 2 * inputs
            conv(f"{name}._expand_conv", f"{name}._bn0", inner, inputs, 1)
        conv(f"{name}._depthwise_conv", f"{name}._bn1", inner, 1, side)
        conv(f"{name}._project_conv", f"{name}._bn2", width, inner, 1)
        inputs = width
    return tensors


def features(tensors: dict[str, Tensor], image: Tensor) -> list[Tensor]:
    """Return what the network sees, its convolutions and norms one by one."""

    def layer(x: Tensor, name: str, norm: str, stride: int = 1) -> Tensor:
        weight = tensors[f"{name}.weight"]
        side = weight.shape[2]
        total = max((-(-x.shape[2] // stride) - 1) * stride + side - x.shape[2], 0)
        x = F.pad(x, [total // 2, total - total // 2] * 2)
        depthwise = name.endswith("_depthwise_conv")
        x = F.conv2d(x, weight, stride=stride, groups=len(weight) if depthwise else 1)
        parts = ("running_mean", "running_var", "weight", "bias")
        middle, variance, scale, shift = (tensors[f"{norm}.{part}"] for part in parts)
        return F.batch_norm(x, middle, variance, scale, shift, eps=1e-3)

    mean, deviation = (
        torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    )
    x = layer((image - mean) / deviation, "_conv_stem", "_bn0", 2).clamp(0, 6)
    found = []
    for index, stride in enumerate(STRIDES):
        name, y = f"_blocks.{index}", x
        if index:
            y = layer(y, f"{name}._expand_conv", f"{name}._bn0").clamp(0, 6)
        y = layer(y, f"{name}._depthwise_conv", f"{name}._bn1", stride).clamp(0, 6)
        y = layer(y, f"{name}._project_conv", f"{name}._bn2")
        x = x + y if x.shape == y.shape else y
        if index in TAPS:
            found.append(x)
    return found


@pytest.mark.usefixtures("one_thread")
def test_the_distance_is_its_definition(tmp_path: Path) -> None:
    tensors = weights()
    torch.save(tensors, tmp_path / "net.pth")
    generator = torch.Generator().manual_seed(1)
    a, b = (torch.rand(2, 3, 64, 64, generator=generator) for _ in range(2))
    expected = sum(
        (F.normalize(x, dim=1) - F.normalize(y, dim=1)).square().sum(1).mean()
        for x, y in zip(features(tensors, a), features(tensors, b), strict=True)
    )
    distance = EfficientNetDistance(tmp_path / "net.pth")
    assert distance(a, b).item() == pytest.approx(float(expected), rel=1e-4)
    assert distance(a, a).item() == pytest.approx(0, abs=1e-6)


def test_other_networks_are_refused(tmp_path: Path) -> None:
    tensors = {n: v for n, v in weights().items() if v.is_floating_point()}
    save_file(
        {n: v for n, v in tensors.items() if "_blocks.4" not in n}, tmp_path / "a.safetensors"
    )
    with pytest.raises(CheckpointError, match=r"found no tensor '_blocks\.4"):
        EfficientNetDistance(tmp_path / "a.safetensors")
    save_file(tensors | {"_bn0.weight": torch.ones(5)}, tmp_path / "b.safetensors")
    with pytest.raises(CheckpointError, match="found other shapes"):
        EfficientNetDistance(tmp_path / "b.safetensors")
