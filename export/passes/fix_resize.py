"""Make the ×4 bicubic resize a fixed convolution, the same in every runtime."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from tinysr.models import SCALE

from ..baked import BakedTinySR, InterpolatedResize
from ..rewrite import sharing_copy
from ..typed import Typed

__all__ = ["FixedResize", "fix_resize"]

CUBIC_A = -0.75
"""The cubic kernel's parameter in ``F.interpolate``."""

_TAPS = 4
_MARGIN = 2
"""Pixels of replicate padding: the kernel reaches two pixels past the border."""


class FixedResize(Typed):
    """×4 bicubic: a replicate pad and a depthwise transposed convolution with constant weights."""

    def __init__(self) -> None:
        super().__init__()
        line = bicubic_line()
        kernel = torch.outer(line, line).float()
        self.kernel: Tensor
        self.register_buffer("kernel", kernel.expand(3, 1, -1, -1).contiguous())
        self._crop = _MARGIN * SCALE + (len(line) - SCALE) // 2
        """Output pixels that padding and kernel add at each border."""

    def forward(self, lr: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` to ``[N, 3, 4H, 4W]``."""
        padded = F.pad(self.own(lr), (_MARGIN,) * 4, mode="replicate")
        return F.conv_transpose2d(padded, self.kernel, stride=SCALE, padding=self._crop, groups=3)


def bicubic_line() -> Tensor:
    """Return the 16 weights that one pixel spreads over its output line, in fp64."""
    offsets = (torch.arange(_TAPS * SCALE, dtype=torch.float64) + 0.5) / SCALE - _TAPS / 2
    x = offsets.abs()
    near = (CUBIC_A + 2) * x**3 - (CUBIC_A + 3) * x**2 + 1
    far = CUBIC_A * (x**3 - 5 * x**2 + 8 * x - 4)
    return torch.where(x <= 1, near, far)


def fix_resize(model: BakedTinySR) -> BakedTinySR:
    """Replace the resize.

    Given: an encoder that calls PyTorch's bicubic interpolation.
    Result: the same function, borders included, of operations that every target has.
    """
    model = sharing_copy(model)
    if not isinstance(model.encoder.resize, InterpolatedResize):
        raise TypeError("the resize is fixed already: the pass ran twice")
    model.encoder.resize = FixedResize()
    return model
