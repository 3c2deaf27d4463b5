"""Baking of the transformer: time and prompt become constants, folded where they can be."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from tinysr.models.families.sana_sr.model import Restoration
from tinysr.models.layers.glumb import GluMbConv
from tinysr.models.layers.linear_attention import NORM_EPS, CrossAttention, SanaBlock
from tinysr.models.layers.tokens import unpatchify

from ...model.baked_transformer import MatMulLinear
from ...model.rewrite import make_convolution
from ...model.typed import BORDER, Wide, as_type
from ...model.typed_blocks import type_blocks
from .parts import TYPED_PARTS, BakedAttention, BakedBlock, BakedCrossAttention, LinearCore

__all__ = ["bake_transformer", "fold_modulation", "fold_prompt"]


class Restore(Wide):
    """The one step, in fp32 whatever a precision plan says."""

    def __init__(self, size: float) -> None:
        super().__init__()
        self.size = size

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        """Map two ``[N, C, h, w]`` to the first and ``size`` times the second."""
        return as_type(z, BORDER) + as_type(y, BORDER) * self.size


class BakedRestoration(nn.Module):
    """Latents → restored latents."""

    def __init__(
        self, patch: nn.Conv2d, blocks: list[BakedBlock], proj_out: MatMulLinear, step: Restore
    ) -> None:
        super().__init__()
        self.patch_embed = patch
        self.transformer_blocks = nn.ModuleList(blocks)
        self.norm_out = nn.LayerNorm(patch.out_channels, NORM_EPS, elementwise_affine=False)
        self.proj_out, self.step = proj_out, step

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, h, w]`` to the same shape."""
        grid = self.patch_embed(z)
        sides = (grid.shape[2], grid.shape[3])
        x = grid.flatten(2).transpose(1, 2)
        for block in self.transformer_blocks:
            x = block(x, sides)
        y = unpatchify(self.proj_out(self.norm_out(x)), *sides, self.patch_embed.stride[0])
        restored: Tensor = self.step(z, y)
        return restored


def bake_transformer(stage: Restoration, cells: int) -> BakedRestoration:
    """Return the transformer for tiles of so many latents a side.

    Given: the eager stage.
    Result: the same function without time and prompt; q, k and v are one linear.
    """
    net = stage.net
    time = torch.full((1,), stage.timestep, device=stage.prompt.device)
    modulation, embedded = net.time_embed(time)
    text = net.project_text(stage.prompt)
    places = (cells // net.patch) ** 2
    eager = cast("list[SanaBlock]", list(net.transformer_blocks))
    blocks = [fold_modulation(block, modulation, text, places) for block in eager]
    shift, scale = (net.scale_shift_table + embedded).unbind()
    proj_out = _fold_into(net.proj_out.weight, net.proj_out.bias, scale, shift)
    patch = cast("nn.Conv2d", net.patch_embed["proj"])
    restored = BakedRestoration(patch, blocks, proj_out, Restore(stage.step_size))
    return type_blocks(restored, TYPED_PARTS)


def fold_modulation(block: SanaBlock, time: Tensor, text: Tensor, places: int) -> BakedBlock:
    """Return a block whose scales, shifts and gates are in its weights.

    Given: what a time gives for all blocks ``[1, 6·dim]``, and the prompt ``[1, T, dim]``.
    Result: the same function for so many tokens.
    """
    parts = [part.flatten() for part in block.find_modulation(time)]
    shift, scale, gate, ff_shift, ff_scale, ff_gate = parts
    own, dim = block.attn1, len(gate)
    joined = torch.cat([to.weight for to in (own.to_q, own.to_k, own.to_v)])
    out = cast("nn.Linear", own.to_out[0])
    attention = BakedAttention(
        own.heads,
        _fold_into(joined, None, scale, shift),
        LinearCore(places, len(joined) // (3 * own.heads)),
        _lay_out(out.weight * gate[:, None], out.bias * gate),
    )
    ff = _fold_ff(block.ff, ff_scale, ff_shift, ff_gate)
    return BakedBlock(dim, NORM_EPS, attention, fold_prompt(block.attn2, text), ff)


def fold_prompt(attention: CrossAttention, text: Tensor) -> BakedCrossAttention:
    """Return attention to a fixed prompt.

    Given: the prompt ``[1, T, dim]``.
    Result: the same function; keys and values are constants, queries have the logits' scale.
    """
    keys, values = (attention.split_heads(to(text))[0] for to in (attention.to_k, attention.to_v))
    scale = keys.shape[-1] ** -0.5
    q, out = attention.to_q, cast("nn.Linear", attention.to_out[0])
    return BakedCrossAttention(
        _lay_out(q.weight * scale, q.bias * scale),
        keys.transpose(1, 2).contiguous(),
        values.contiguous(),
        _lay_out(out.weight, out.bias),
    )


def _fold_ff(ff: GluMbConv, scale: Tensor, shift: Tensor, gate: Tensor) -> GluMbConv:
    """Fold what is before and behind gated convolutions into the first and the last."""
    first, last = ff.conv_inverted, ff.conv_point
    width, hidden = last.out_channels, last.in_channels
    with torch.device("meta"):
        folded = GluMbConv(width, hidden, norm=False)
    bias = cast("Tensor", first.bias) + first.weight.flatten(1) @ shift
    folded.conv_inverted = make_convolution(first, first.weight * (1 + scale)[:, None, None], bias)
    folded.conv_depth = ff.conv_depth
    folded.conv_point = make_convolution(last, last.weight * gate[:, None, None, None], None)
    return folded


def _fold_into(weight: Tensor, bias: Tensor | None, scale: Tensor, shift: Tensor) -> MatMulLinear:
    """Return a linear of what is multiplied by ``1 + scale`` and moved by ``shift`` before."""
    moved = weight @ shift
    return _lay_out(weight * (1 + scale), moved if bias is None else bias + moved)


def _lay_out(weight: Tensor, bias: Tensor) -> MatMulLinear:
    """Return a linear of a weight ``[outputs, inputs]``, laid out as MatMul reads it."""
    return MatMulLinear(weight.detach().t(), bias.detach())
