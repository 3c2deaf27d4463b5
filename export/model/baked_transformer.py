"""Transformer being baked: constants in place of conditions."""

from __future__ import annotations

from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.models import HEAD_SIZE
from tinysr.models.layers.sd3 import NORM_EPS
from tinysr.models.layers.tokens import unpatchify

from .typed import BORDER, Typed, Wide, as_type

__all__ = [
    "Affine",
    "BakedBlock",
    "BakedFeedForward",
    "BakedPatchEmbed",
    "BakedTransformer",
    "JoinedAttention",
    "MatMulLinear",
    "Modulated",
    "Restore",
    "SplitAttention",
    "attend",
]


class MatMulLinear(Typed):
    """A linear whose weight lies as MatMul reads it: a graph needs no transpose."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        """``[inputs, outputs]``."""
        self.bias = nn.Parameter(bias, requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[…, inputs]`` to ``[…, outputs]``."""
        return self.cast_input(x) @ self.weight + self.bias


Affine = nn.Linear | MatMulLinear


class Modulated(Typed):
    """LayerNorm without affine, then constant scale and shift while they are not folded."""

    def __init__(self, dim: int, scale: Tensor | None, shift: Tensor | None) -> None:
        super().__init__()
        self.dim = dim
        self.scale: Tensor | None
        """1 + scale, ``[dim]``."""
        self.shift: Tensor | None
        self.register_buffer("scale", scale)
        self.register_buffer("shift", shift)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, L, dim]`` to the same shape."""
        x = F.layer_norm(self.cast_input(x), (self.dim,), eps=NORM_EPS)
        if self.scale is not None:
            x = x * self.scale
        return x if self.shift is None else x + self.shift


class BakedFeedForward(Typed):
    """dim → 4·dim → dim, with the tanh form of GELU between."""

    def __init__(self, proj_in: Affine, proj_out: Affine) -> None:
        super().__init__()
        self.proj_in, self.proj_out = proj_in, proj_out

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, L, dim]`` to the same shape."""
        y: Tensor = self.proj_out(F.gelu(self.cast_input(self.proj_in(x)), approximate="tanh"))
        return y


class SplitAttention(nn.Module):
    """Self-attention with separate q, k and v, and the scale of its logits."""

    def __init__(self, to_q: nn.Linear, to_k: nn.Linear, to_v: nn.Linear, to_out: Affine) -> None:
        super().__init__()
        self.to_q, self.to_k, self.to_v, self.to_out = to_q, to_k, to_v, to_out
        self.logit_scale: float | None = HEAD_SIZE**-0.5

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, L, dim]`` to the same shape."""
        q, k, v = self.to_q(x), self.to_k(x), self.to_v(x)
        out: Tensor = self.to_out(attend(q, k, v, self.logit_scale))
        return out


class JoinedAttention(Typed):
    """Self-attention with one linear for q, k and v, q already scaled."""

    def __init__(self, to_qkv: Affine, to_out: Affine) -> None:
        super().__init__()
        self.to_qkv, self.to_out = to_qkv, to_out

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, L, dim]`` to the same shape."""
        q, k, v = self.cast_input(self.to_qkv(x)).chunk(3, dim=2)
        out: Tensor = self.to_out(attend(q, k, v))
        return out


class BakedBlock(Typed):
    """A transformer block without conditioning."""

    def __init__(
        self,
        norm_attn: Modulated,
        attn: SplitAttention | JoinedAttention,
        norm_ff: Modulated,
        ff: BakedFeedForward,
        gates: tuple[Tensor, Tensor],
    ) -> None:
        super().__init__()
        self.norm_attn, self.attn, self.norm_ff, self.ff = norm_attn, attn, norm_ff, ff
        self.gate_attn: Tensor | None
        self.gate_ff: Tensor | None
        self.register_buffer("gate_attn", gates[0])
        self.register_buffer("gate_ff", gates[1])

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, L, dim]`` to the same shape."""
        y = _gate(self.attn(self.norm_attn(x)), self.gate_attn)
        x = self.cast_input(x) + self.cast_input(y)
        return x + self.cast_input(_gate(self.ff(self.norm_ff(x)), self.gate_ff))


class BakedPatchEmbed(Typed):
    """Latents → tokens, with the positions of one tile."""

    def __init__(self, proj: nn.Conv2d, positions: Tensor) -> None:
        super().__init__()
        self.proj = proj
        self.positions: Tensor
        self.register_buffer("positions", positions)

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, h, w]`` to ``[N, h/patch · w/patch, dim]``."""
        tokens: Tensor = self.proj(z)
        length, dim = self.positions.shape[1:]
        return self.cast_input(tokens.reshape(-1, dim, length).transpose(1, 2)) + self.positions


class Restore(Wide):
    """The one step: latents less their velocity, in fp32 whatever a precision plan says."""

    def forward(self, z: Tensor, v: Tensor) -> Tensor:
        """Map two ``[N, C, h, w]`` to their difference."""
        return as_type(z, BORDER) - as_type(v, BORDER)


class BakedTransformer(nn.Module):
    """One tile of latents → restored latents: z - v (paper section 3)."""

    def __init__(
        self,
        pos_embed: BakedPatchEmbed,
        blocks: nn.Sequential,
        norm_out: Modulated,
        proj_out: Affine,
        *,
        patch: int,
        grid: int,
    ) -> None:
        super().__init__()
        self.patch, self.grid = patch, grid
        self.pos_embed = pos_embed
        self.transformer_blocks = blocks
        self.norm_out = norm_out
        self.proj_out = proj_out
        self.step = Restore()

    @property
    def blocks(self) -> list[BakedBlock]:
        """The blocks of a single stream, with their type."""
        return cast("list[BakedBlock]", list(self.transformer_blocks))

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, t, t]``, t the latent tile, to the same shape."""
        x = self.transformer_blocks(self.pos_embed(z))
        v = self.proj_out(self.norm_out(x))
        restored: Tensor = self.step(z, unpatchify(v, self.grid, self.grid, self.patch))
        return restored


def attend(q: Tensor, k: Tensor, v: Tensor, scale: float | None = None) -> Tensor:
    """Weigh values ``[N, K, dim]`` by queries ``[N, L, dim]``, heads of 64: ``[N, L, dim]``.

    Written out, because exporters turn the fused call's scale into stray constants; and with the
    batch as the only open size, so that a graph computes no shapes.
    """
    length, dim = q.shape[1:]
    heads = (dim // HEAD_SIZE, HEAD_SIZE)
    q = q.reshape(-1, length, *heads).transpose(1, 2)  # [N, heads, L, 64]
    k = k.reshape(-1, k.shape[1], *heads).permute(0, 2, 3, 1)  # [N, heads, 64, K]
    v = v.reshape(-1, v.shape[1], *heads).transpose(1, 2)
    logits = q @ k if scale is None else (q @ k) * scale
    return (logits.softmax(dim=-1) @ v).transpose(1, 2).reshape(-1, length, dim)


def _gate(x: Tensor, gate: Tensor | None) -> Tensor:
    return x if gate is None else x * gate
