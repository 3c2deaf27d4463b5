"""Transformers over the pixels of a feature map, as in Stable Diffusion's UNet."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.models.layers.resnet import Groups, group_norm

__all__ = ["Attention", "FeedForward", "GatedProjection", "SpatialTransformer", "TransformerBlock"]

_GROUP_EPS = 1e-6
_LAYER_EPS = 1e-5
"""Epsilons of GroupNorm and of every LayerNorm."""

_EXPANSION = 4
"""Channels inside the feed-forward over those of a token."""


class Attention(nn.Module):
    """Multi-head attention without biases on q, k and v; its scale is the head's size^-½."""

    def __init__(self, dim: int, heads: int, context: int | None = None) -> None:
        """Make the projections.

        Args:
            dim: channels of a token.
            heads: their number, which divides ``dim``.
            context: channels of the tokens that k and v are from; None for self-attention.
        """
        super().__init__()
        self.heads = heads
        self.to_q = nn.Linear(dim, dim, bias=False)
        self.to_k = nn.Linear(context or dim, dim, bias=False)
        self.to_v = nn.Linear(context or dim, dim, bias=False)
        self.to_out = nn.Sequential(nn.Linear(dim, dim))

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Map ``[N, L, dim]``, and the ``[N, T, context]`` it looks at, to ``[N, L, dim]``."""
        source = x if context is None else context
        q = self.split_heads(self.to_q(x))
        k, v = (self.split_heads(to(source)) for to in (self.to_k, self.to_v))
        y: Tensor = self.to_out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return y

    def split_heads(self, x: Tensor) -> Tensor:
        """Map ``[N, L, dim]`` to ``[N, heads, L, dim / heads]``."""
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)


class GatedProjection(nn.Module):
    """A linear whose second half, through an exact GELU, is the gate of its first half."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.proj = nn.Linear(inputs, 2 * outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, L, inputs]`` to ``[N, L, outputs]``."""
        value, gate = self.proj(x).chunk(2, dim=2)
        y: Tensor = value * F.gelu(gate)
        return y


class FeedForward(nn.Module):
    """dim → 4·dim, gated → dim."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        inner = _EXPANSION * dim
        # The middle is where diffusers keeps its dropout; it holds the key numbers in place.
        self.net = nn.Sequential(GatedProjection(dim, inner), nn.Identity(), nn.Linear(inner, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, L, dim]`` to the same shape."""
        y: Tensor = self.net(x)
        return y


class TransformerBlock(nn.Module):
    """Self-attention, attention to a text if there is one, feed-forward; each plus its input."""

    def __init__(self, dim: int, heads: int, text: int | None = None) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, _LAYER_EPS)
        self.attn1 = Attention(dim, heads)
        self.norm2 = None if text is None else nn.LayerNorm(dim, _LAYER_EPS)
        self.attn2 = None if text is None else Attention(dim, heads, text)
        self.norm3 = nn.LayerNorm(dim, _LAYER_EPS)
        self.ff = FeedForward(dim)

    def forward(self, x: Tensor, text: Tensor | None = None) -> Tensor:
        """Map ``[N, L, dim]`` and a text's tokens ``[N, T, text]`` to ``[N, L, dim]``."""
        x = x + self.attn1(self.norm1(x))
        if self.norm2 is not None and self.attn2 is not None:
            x = x + self.attn2(self.norm2(x), text)
        y: Tensor = x + self.ff(self.norm3(x))
        return y


class SpatialTransformer(nn.Module):
    """norm, linear, a transformer block over all pixels, linear, plus the input."""

    def __init__(self, width: int, heads: int, groups: Groups, text: int | None = None) -> None:
        super().__init__()
        self.norm = group_norm(groups, width, _GROUP_EPS)
        self.proj_in = nn.Linear(width, width)
        self.transformer_blocks = nn.ModuleList([TransformerBlock(width, heads, text)])
        self.proj_out = nn.Linear(width, width)

    def forward(self, x: Tensor, text: Tensor | None = None) -> Tensor:
        """Map ``[N, width, H, W]`` and a text's tokens ``[N, T, text]`` to ``[N, width, H, W]``."""
        y = self.proj_in(self.norm(x).flatten(2).transpose(1, 2))  # [N, H·W, width]
        for block in self.transformer_blocks:
            y = block(y, text)
        out: Tensor = x + self.proj_out(y).transpose(1, 2).reshape(x.shape)
        return out
