"""The same function in operations that the Neural Engine has, whatever the layout.

Two places of the baked model are well for other runtimes and not for this one: a transposed
convolution with a kernel of 16, and a transpose of six dimensions, which becomes a dozen
operations. Both are pixel shuffles.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from tinysr.models import SCALE

from ..baked import BakedTinySR, BakedTransformer, MatMulLinear
from ..passes.fix_resize import FixedResize
from ..rewrite import sharing_copy
from ..typed import BORDER, Typed, as_type

__all__ = ["PhasedResize", "ShuffledTransformer", "prepared"]

_MARGIN = 2
"""Pixels of replicate padding, as the resize has it."""


class PhasedResize(Typed):
    """×4 bicubic: each of the 16 phases of the result is a convolution, and then they are shuffled.

    Pixel 4m + p of the result reads the padded pixels m to m + 4, with every fourth weight of the
    transposed convolution's kernel.
    """

    def __init__(self, kernel: Tensor) -> None:
        super().__init__()
        self.kernel: Tensor
        self.register_buffer("kernel", _phases(kernel))

    def forward(self, lr: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` to ``[N, 3, 4H, 4W]``."""
        padded = F.pad(self.own(lr), (_MARGIN,) * 4, mode="replicate")
        return F.pixel_shuffle(F.conv2d(padded, self.kernel, groups=3), SCALE)


class ShuffledTransformer(BakedTransformer):
    """A transformer whose last linear gives channels in the order of a pixel shuffle."""

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, t, t]``, t the latent tile, to the same shape."""
        x = self.pos_embed(z)
        for block in self.transformer_blocks:
            x = block(x)
        v = self.channels_first(self.proj_out(self.norm_out(x)))
        return as_type(F.pixel_shuffle(v, self.patch), BORDER)

    def channels_first(self, x: Tensor) -> Tensor:
        """Map tokens ``[N, L, dim]`` to ``[N, dim, h, w]``."""
        return x.transpose(1, 2).reshape(-1, x.shape[2], self.grid, self.grid)


def prepared(model: BakedTinySR) -> BakedTinySR:
    """Replace resize and unpatchify.

    Given: a fully baked model in fp32.
    Result: the same function up to rounding. Modules keep their paths, by which plans know them.
    """
    model = sharing_copy(model)
    model.encoder.resize = PhasedResize(cast(FixedResize, model.encoder.resize).kernel)
    old = model.transformer
    model.transformer = ShuffledTransformer(
        old.pos_embed,
        old.blocks,
        old.norm_out,
        _shuffled(cast(MatMulLinear, old.proj_out), old.patch),
        patch=old.patch,
        grid=old.grid,
    )
    return model


def _phases(kernel: Tensor) -> Tensor:
    """Return ``[3, 1, 16, 16]`` as ``[3·16, 1, 5, 5]``, phases in the order of a pixel shuffle."""
    taps = kernel.shape[-1]
    first = _MARGIN * SCALE + (taps - SCALE) // 2  # of the kernel's, where the crop begins
    reach = _MARGIN * 2 + 1
    places = torch.tensor([[first + p - SCALE * d for d in range(reach)] for p in range(SCALE)])
    inside = (places >= 0) & (places < taps)
    rows = places.clamp(0, taps - 1)
    both = kernel[:, 0][:, rows][:, :, :, rows]  # [3, py, dy, px, dx]
    both = both * inside[None, :, :, None, None] * inside[None, None, None]
    return both.permute(0, 1, 3, 2, 4).reshape(-1, 1, reach, reach).contiguous()


def _shuffled(linear: MatMulLinear, patch: int) -> MatMulLinear:
    """Reorder outputs from (py, px, c) to (c, py, px)."""
    outputs = linear.bias.numel()
    order = torch.arange(outputs).reshape(patch, patch, -1).permute(2, 0, 1).reshape(-1)
    return MatMulLinear(linear.weight[:, order], linear.bias[order])
