"""A baked model in operations that the Neural Engine has, whatever the layout.

One place of the baked model is well for other runtimes and not for this one: a transpose of six
dimensions, which becomes a dozen operations. It is a pixel shuffle.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from tinysr.export.model.baked import Baked
from tinysr.export.model.baked_transformer import BakedTransformer, MatMulLinear
from tinysr.export.model.rewrite import replace_modules

__all__ = ["ShuffledTransformer", "prepare"]


class ShuffledTransformer(BakedTransformer):
    """A transformer whose last linear gives channels in the order of a pixel shuffle."""

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, t, t]``, t the latent tile, to the same shape."""
        x = self.transformer_blocks(self.pos_embed(z))
        v = self.channels_first(self.proj_out(self.norm_out(x)))
        restored: Tensor = self.step(z, F.pixel_shuffle(v, self.patch))
        return restored

    def channels_first(self, x: Tensor) -> Tensor:
        """Map tokens ``[N, L, dim]`` to ``[N, dim, h, w]``."""
        return x.transpose(1, 2).reshape(-1, x.shape[2], self.grid, self.grid)


def prepare(model: Baked) -> Baked:
    """Replace the unpatchify.

    Given: a fully baked model in fp32.
    Result: the same function up to rounding. Modules keep their paths, by which plans know them.
    """
    return replace_modules(model, BakedTransformer, _shuffle_transformer)


def _shuffle_transformer(old: BakedTransformer) -> ShuffledTransformer:
    return ShuffledTransformer(
        old.pos_embed,
        old.transformer_blocks,
        old.norm_out,
        _shuffle(cast(MatMulLinear, old.proj_out), old.patch),
        patch=old.patch,
        grid=old.grid,
    )


def _shuffle(linear: MatMulLinear, patch: int) -> MatMulLinear:
    """Reorder outputs from (py, px, c) to (c, py, px)."""
    outputs = linear.bias.numel()
    order = torch.arange(outputs).reshape(patch, patch, -1).permute(2, 0, 1).reshape(-1)
    return MatMulLinear(linear.weight[:, order], linear.bias[order])
