"""JPEG as a batch of tensor operations: YCbCr with halved chroma, 8×8 DCT, quantised.

The tables are those of the standard's annex K, scaled by quality as libjpeg does. What Pillow
writes and reads differs by rounding and by its smoother chroma only; a test holds the two
together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tinysr.training.degradations.resize import Sides, continue_borders, mirror

__all__ = ["compress_jpeg"]

# fmt: off
_LUMA = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55,
    14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)
_CHROMA = (
    17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99,
    24, 26, 56, 99, 99, 99, 99, 99, 47, 66, 99, 99, 99, 99, 99, 99,
    *(99,) * 32,
)
# fmt: on
_YCC = ((0.299, 0.587, 0.114), (-0.168736, -0.331264, 0.5), (0.5, -0.418688, -0.081312))
_RGB = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


def compress_jpeg(canvas: Tensor, sizes: Sequence[Sides], quality: Tensor) -> Tensor:
    """Compress and decompress each item; those of quality 0 stay as they are.

    Args:
        canvas: ``[N, 3, H, W]`` in [0, 1].
        sizes: of the items in it; each is continued to whole blocks by its last row and column.
        quality: ``[N]``, 1 to 100, rounded as encoders take it.
    """
    rows, columns = canvas.shape[2:]
    pixels = (continue_borders(canvas, sizes, 16).clamp(0, 1) * 255).round()
    ycc = torch.einsum("dc,nchw->ndhw", pixels.new_tensor(_YCC), pixels)
    scale = _scale(quality).to(canvas.device)
    luma = _quantise(ycc[:, :1] - 128, _table(_LUMA, scale)) + 128
    chroma = _quantise(F.avg_pool2d(ycc[:, 1:], 2), _table(_CHROMA, scale))
    full = torch.cat([luma, F.interpolate(chroma, scale_factor=2.0, mode="nearest")], dim=1)
    decoded = torch.einsum("dc,nchw->ndhw", pixels.new_tensor(_RGB), full)
    decoded = (decoded.round().clamp(0, 255) / 255)[..., :rows, :columns]
    kept = (quality == 0).to(canvas.device)[:, None, None, None]
    return mirror(torch.where(kept, canvas, decoded), sizes)


def _scale(quality: Tensor) -> Tensor:
    """Return libjpeg's factor of the tables ``[N]``, in percent."""
    whole = quality.round().clamp(1, 100)
    return torch.where(whole < 50, (5000 / whole).floor(), 200 - 2 * whole)


def _table(standard: tuple[int, ...], scale: Tensor) -> Tensor:
    """Return the quantisation steps ``[N, 1, 1, 1, 8, 8]``."""
    steps = torch.tensor(standard, dtype=torch.float32, device=scale.device).view(8, 8)
    scaled = ((steps * scale[:, None, None] + 50) / 100).floor().clamp(1, 255)
    return scaled[:, None, None, None]


def _quantise(planes: Tensor, steps: Tensor) -> Tensor:
    """Take ``[N, C, H, W]`` through the DCT and back, rounded to ``steps``."""
    count, channels, rows, columns = planes.shape
    blocks = planes.view(count, channels, rows // 8, 8, columns // 8, 8).transpose(3, 4)
    basis = _dct(planes.device)
    coefficients = (basis @ blocks @ basis.T / steps).round() * steps
    restored = basis.T @ coefficients @ basis
    return restored.transpose(3, 4).reshape(count, channels, rows, columns)


def _dct(device: torch.device) -> Tensor:
    """Return the orthonormal DCT-II ``[8, 8]``, a frequency in each row."""
    place = torch.arange(8, dtype=torch.float64)
    basis = torch.cos(math.pi / 8 * (place + 0.5) * place[:, None]) / 2
    basis[0] /= math.sqrt(2)
    return basis.float().to(device)
