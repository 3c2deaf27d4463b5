"""The ×4 bicubic resize as a fixed convolution, the same in every runtime."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.models import SCALE

from .typed import BORDER, Typed, Wide, as_type

__all__ = ["CentredResize", "FixedResize"]

CUBIC_A = -0.75
"""The cubic kernel's parameter in ``F.interpolate``."""

_TAPS = 4
_MARGIN = 2
"""Pixels of replicate padding: the kernel reaches two pixels past the border."""


class _Bicubic(nn.Module):
    """×4 bicubic: each of the 16 phases of the result is a convolution, and then they are shuffled.

    Pixel 4m + p of the result reads the padded pixels m to m + 4. As one transposed convolution,
    with a kernel of 16, it takes ONNX Runtime many times as long, and the Neural Engine has none.
    """

    def __init__(self) -> None:
        super().__init__()
        lines = _compute_phases(bicubic_line())
        both = torch.einsum("pi,qj->pqij", lines, lines)  # phases by row and column, then taps
        kernel = both.reshape(SCALE**2, 1, *both.shape[2:]).float()
        self.kernel: Tensor
        self.register_buffer("kernel", kernel.repeat(3, 1, 1, 1))

    def enlarge(self, lr: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` to ``[N, 3, 4H, 4W]``."""
        padded = F.pad(lr, (_MARGIN,) * 4, mode="replicate")
        return F.pixel_shuffle(F.conv2d(padded, self.kernel, groups=3), SCALE)


class FixedResize(Typed, _Bicubic):
    """×4 bicubic in a type."""

    def forward(self, lr: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` to ``[N, 3, 4H, 4W]``."""
        return self.enlarge(self.cast_input(lr))


class CentredResize(Wide, _Bicubic):
    """×4 bicubic, then the map to [-1, 1], clamped, in fp32 whatever a precision plan says."""

    def forward(self, lr: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` in [0, 1] to ``[N, 3, 4H, 4W]``."""
        return (self.enlarge(as_type(lr, BORDER)) * 2 - 1).clamp(-1, 1)


def bicubic_line() -> Tensor:
    """Return the 16 weights that one pixel spreads over its output line, in fp64."""
    offsets = (torch.arange(_TAPS * SCALE, dtype=torch.float64) + 0.5) / SCALE - _TAPS / 2
    x = offsets.abs()
    near = (CUBIC_A + 2) * x**3 - (CUBIC_A + 3) * x**2 + 1
    far = CUBIC_A * (x**3 - 5 * x**2 + 8 * x - 4)
    return torch.where(x <= 1, near, far)


def _compute_phases(line: Tensor) -> Tensor:
    """Return the weights ``[4, 5]`` with which each phase reads five neighbouring pixels."""
    # Padded pixel m + d spreads its line over the pixels from 4(m + d - margin) - (taps - 4)/2 on.
    start = _MARGIN * SCALE + (len(line) - SCALE) // 2
    phase = torch.arange(SCALE)[:, None]
    place = start + phase - SCALE * torch.arange(2 * _MARGIN + 1)
    inside = (place >= 0) & (place < len(line))
    return line[place.clamp(0, len(line) - 1)] * inside
