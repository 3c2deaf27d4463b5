"""Tokens for the Neural Engine: ``[N, dim, 1, L]``, linears as 1×1 convolutions, heads apart.

The form follows Apple's published guidance, "Deploying Transformers on the Apple Neural Engine"
(https://machinelearning.apple.com/research/neural-engine-transformers): channels first, the long
axis last, one product for each head, and no reshape or transpose but that of the keys.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from tinysr.errors import UnsupportedError
from tinysr.export.model.baked import Baked
from tinysr.export.model.baked_transformer import (
    BakedBlock,
    BakedPatchEmbed,
    JoinedAttention,
    MatMulLinear,
    Modulated,
)
from tinysr.export.model.rewrite import replace_modules
from tinysr.export.model.typed import Typed
from tinysr.models import HEAD_SIZE
from tinysr.models.layers.sd3 import NORM_EPS

from .prepare import ShuffledTransformer

__all__ = ["AneAttention", "AneLinear", "AneNorm", "AnePatchEmbed", "lay_out_for_ane"]

_PRODUCT = "nchw,nwhu->nchu"
"""The one product that Core ML computes without moving data."""


class AneLinear(Typed):
    """A linear as a 1×1 convolution."""

    def __init__(self, linear: MatMulLinear) -> None:
        super().__init__()
        self.weight = nn.Parameter(linear.weight.T[:, :, None, None], requires_grad=False)
        self.bias = linear.bias

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, inputs, 1, L]`` to ``[N, outputs, 1, L]``."""
        return nn.functional.conv2d(self.cast_input(x), self.weight, self.bias)


class AneNorm(Typed):
    """LayerNorm over channels, written out."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, dim, 1, L]`` to the same shape."""
        x = self.cast_input(x)
        centred = x - x.mean(1, keepdim=True)
        variance = (centred * centred).mean(1, keepdim=True)
        return centred * torch.rsqrt(variance + NORM_EPS)


class AneAttention(Typed):
    """Self-attention, head by head; q is already scaled."""

    def __init__(self, attention: JoinedAttention) -> None:
        super().__init__()
        self.to_qkv = AneLinear(cast(MatMulLinear, attention.to_qkv))
        self.to_out = AneLinear(cast(MatMulLinear, attention.to_out))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, dim, 1, L]`` to the same shape."""
        q, k, v = self.cast_input(self.to_qkv(x)).chunk(3, dim=1)
        heads = zip(
            torch.split(q, HEAD_SIZE, 1),
            torch.split(k.transpose(1, 3), HEAD_SIZE, 3),  # [N, L, 1, 64]
            torch.split(v, HEAD_SIZE, 1),
            strict=True,
        )
        y: Tensor = self.to_out(torch.cat([_attend(*head) for head in heads], dim=1))
        return y


class AnePatchEmbed(Typed):
    """Latents → tokens, with the positions of one tile."""

    def __init__(self, embed: BakedPatchEmbed) -> None:
        super().__init__()
        self.proj = embed.proj
        self.positions: Tensor
        self.register_buffer("positions", embed.positions.transpose(1, 2)[:, :, None])

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, h, w]`` to ``[N, dim, 1, h/patch · w/patch]``."""
        tokens: Tensor = self.proj(z)
        dim, _, length = self.positions.shape[1:]
        return self.cast_input(tokens.reshape(-1, dim, 1, length)) + self.positions


class AneTransformer(ShuffledTransformer):
    """A transformer whose tokens lie as ``[N, dim, 1, L]``."""

    def channels_first(self, x: Tensor) -> Tensor:
        """Map ``[N, dim, 1, L]`` to ``[N, dim, h, w]``."""
        return x.reshape(-1, x.shape[1], self.grid, self.grid)


def lay_out_for_ane(model: Baked) -> Baked:
    """Lay out the transformer's tokens for the Neural Engine.

    Given: a prepared model (:func:`.prepare.prepare`).
    Result: the same function up to rounding. Modules keep their paths, by which plans know them.

    Raises:
        UnsupportedError: its blocks have a second stream, of text.
    """
    return replace_modules(model, ShuffledTransformer, _lay_out)


def _lay_out(old: ShuffledTransformer) -> AneTransformer:
    if not all(isinstance(block, BakedBlock) for block in old.transformer_blocks):
        raise UnsupportedError(
            "the layout 'ane' is for transformers of images alone, and this one has a stream of "
            "text: expected the layout 'standard'"
        )
    for block in old.blocks:
        block.norm_attn, block.norm_ff = cast("Modulated", AneNorm()), cast("Modulated", AneNorm())
        block.attn = cast("JoinedAttention", AneAttention(cast(JoinedAttention, block.attn)))
        ff = block.ff
        ff.proj_in = cast(MatMulLinear, AneLinear(cast(MatMulLinear, ff.proj_in)))
        ff.proj_out = cast(MatMulLinear, AneLinear(cast(MatMulLinear, ff.proj_out)))
    return AneTransformer(
        cast(BakedPatchEmbed, AnePatchEmbed(old.pos_embed)),
        old.transformer_blocks,
        cast(Modulated, AneNorm()),
        cast(MatMulLinear, AneLinear(cast(MatMulLinear, old.proj_out))),
        patch=old.patch,
        grid=old.grid,
    )


def _attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Attend with one head: q and v ``[N, 64, 1, L]``, k ``[N, L, 1, 64]``."""
    weights = torch.einsum(_PRODUCT, k, q).softmax(dim=1)  # [N, keys, 1, queries]
    return torch.einsum(_PRODUCT, v, weights)
