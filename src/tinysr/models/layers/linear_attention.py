"""Sana's transformer with diffusers' ``SanaTransformer2DModel`` key names.

Self-attention is linear in the number of tokens; each block looks at a prompt, and mixes
neighbours by convolutions, so that there are no positions. Blocks may differ in their widths, as
pruning leaves them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.models.layers.glumb import GluMbConv, attend_linearly
from tinysr.models.layers.tokens import unpatchify
from tinysr.models.layers.unet2d import TimeEmbedding

__all__ = [
    "NORM_EPS",
    "CaptionProjection",
    "CrossAttention",
    "LinearAttention",
    "SanaBlock",
    "SanaConfig",
    "SanaTransformer",
    "TimeModulation",
]

NORM_EPS = 1e-6
"""Epsilon of every LayerNorm."""

_CAPTION_EPS = 1e-5
"""Epsilon of the prompt's RMSNorm."""

_WAVES = 256
"""Sines and cosines of a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SanaConfig:
    """Configuration of the transformer; the defaults are those of Sana's smaller one (0.6B)."""

    channels: int = 32
    """Channels of the latents."""
    patch: int = 1
    """Latents along the side of a token."""
    dim: int = 1152
    """Channels of a token."""
    caption: int = 2304
    """Channels of the prompt's embeddings."""
    head_size: int = 32
    cross_head_size: int = 72
    heads: tuple[int, ...] = (36,) * 28
    """Heads of each block's self-attention."""
    cross_heads: tuple[int, ...] = (16,) * 28
    """Heads of each block's attention to the prompt."""
    hidden: tuple[int, ...] = (2880,) * 28
    """Channels inside each block's convolutions, behind the gate."""


class LinearAttention(nn.Module):
    """Self-attention whose cost grows as the number of tokens."""

    def __init__(self, dim: int, heads: int, head_size: int) -> None:
        super().__init__()
        inner = heads * head_size
        self.heads = heads
        self.to_q = nn.Linear(dim, inner, bias=False)
        self.to_k = nn.Linear(dim, inner, bias=False)
        self.to_v = nn.Linear(dim, inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, L, dim]`` to the same shape."""
        tos = (self.to_q, self.to_k, self.to_v)
        q, k, v = (to(x).transpose(1, 2).unflatten(1, (self.heads, -1)) for to in tos)
        y: Tensor = self.to_out(attend_linearly(q, k, v).flatten(1, 2).transpose(1, 2))
        return y


class CrossAttention(nn.Module):
    """Attention of every token to all of a prompt's."""

    def __init__(self, dim: int, heads: int, head_size: int) -> None:
        super().__init__()
        inner = heads * head_size
        self.heads = heads
        self.to_q = nn.Linear(dim, inner)
        self.to_k = nn.Linear(dim, inner)
        self.to_v = nn.Linear(dim, inner)
        self.to_out = nn.Sequential(nn.Linear(inner, dim))

    def forward(self, x: Tensor, text: Tensor) -> Tensor:
        """Map ``[N, L, dim]`` and a prompt ``[N, T, dim]`` to ``[N, L, dim]``."""
        q = self.split_heads(self.to_q(x))
        k, v = (self.split_heads(to(text)) for to in (self.to_k, self.to_v))
        y: Tensor = self.to_out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return y

    def split_heads(self, x: Tensor) -> Tensor:
        """Map ``[N, L, inner]`` to ``[N, heads, L, head_size]``."""
        heads: Tensor = x.unflatten(2, (self.heads, -1))
        return heads.transpose(1, 2)


class SanaBlock(nn.Module):
    """Linear attention, attention to the prompt, gated convolutions; each plus its input."""

    def __init__(self, config: SanaConfig, number: int) -> None:
        super().__init__()
        dim = config.dim
        self.attn1 = LinearAttention(dim, config.heads[number], config.head_size)
        self.attn2 = CrossAttention(dim, config.cross_heads[number], config.cross_head_size)
        self.ff = GluMbConv(dim, config.hidden[number], norm=False)
        self.scale_shift_table = nn.Parameter(torch.zeros(6, dim))

    def find_modulation(self, time: Tensor) -> list[Tensor]:
        """Return shift, scale and gate of attention, then of the rest, each ``[N, 1, dim]``.

        Args:
            time: what a time gives for all blocks, ``[N, 6·dim]``.
        """
        table = self.scale_shift_table[None] + time.unflatten(1, (6, -1))
        return list(table.chunk(6, dim=1))

    def forward(self, x: Tensor, time: Tensor, text: Tensor, sides: tuple[int, int]) -> Tensor:
        """Map tokens ``[N, L, dim]`` to the same shape.

        Args:
            x: the tokens, row by row.
            time: ``[N, 6·dim]``.
            text: the prompt, ``[N, T, dim]``.
            sides: rows and columns of the tokens.
        """
        shift, scale, gate, ff_shift, ff_scale, ff_gate = self.find_modulation(time)
        x = x + gate * self.attn1(normalise(x) * (1 + scale) + shift)
        x = x + self.attn2(x, text)
        y = (normalise(x) * (1 + ff_scale) + ff_shift).transpose(1, 2).unflatten(2, sides)
        out: Tensor = x + ff_gate * self.ff(y).flatten(2).transpose(1, 2)
        return out


class TimeModulation(nn.Module):
    """A time → its embedding, and the shifts, scales and gates that all blocks start from."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.emb = nn.ModuleDict({"timestep_embedder": TimeEmbedding(_WAVES, dim)})
        self.linear = nn.Linear(dim, 6 * dim)

    def forward(self, time: Tensor) -> tuple[Tensor, Tensor]:
        """Map times ``[N]`` to ``[N, 6·dim]`` and ``[N, dim]``."""
        embedded = self.emb["timestep_embedder"](time)
        return self.linear(F.silu(embedded)), embedded


class CaptionProjection(nn.Module):
    """Linear, GELU by tanh, linear, for each of a prompt's tokens."""

    def __init__(self, inputs: int, dim: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(inputs, dim)
        self.linear_2 = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, T, inputs]`` to ``[N, T, dim]``."""
        y: Tensor = self.linear_2(F.gelu(self.linear_1(x), approximate="tanh"))
        return y


class SanaTransformer(nn.Module):
    """Latents, a time and a prompt → what moves the latents."""

    def __init__(self, config: SanaConfig) -> None:
        super().__init__()
        self.patch = patch = config.patch
        self.patch_embed = nn.ModuleDict(
            {"proj": nn.Conv2d(config.channels, config.dim, patch, stride=patch)}
        )
        self.time_embed = TimeModulation(config.dim)
        self.caption_projection = CaptionProjection(config.caption, config.dim)
        self.caption_norm = nn.RMSNorm(config.dim, _CAPTION_EPS)
        self.transformer_blocks = nn.ModuleList(
            SanaBlock(config, number) for number in range(len(config.heads))
        )
        self.scale_shift_table = nn.Parameter(torch.zeros(2, config.dim))
        self.proj_out = nn.Linear(config.dim, patch**2 * config.channels)

    def project_text(self, text: Tensor) -> Tensor:
        """Map a prompt's embeddings ``[N, T, caption]`` to what blocks read, ``[N, T, dim]``."""
        y: Tensor = self.caption_norm(self.caption_projection(text))
        return y

    def forward(self, z: Tensor, time: Tensor, text: Tensor) -> Tensor:
        """Map latents ``[N, C, h, w]`` to the same shape.

        Args:
            z: its sides divide by the patch.
            time: ``[N]``.
            text: the prompt's embeddings ``[N, T, caption]``, without masked tokens.
        """
        grid = self.patch_embed["proj"](z)
        sides = (grid.shape[2], grid.shape[3])
        x = grid.flatten(2).transpose(1, 2)
        modulation, embedded = self.time_embed(time)
        text = self.project_text(text)
        for block in self.transformer_blocks:
            x = block(x, modulation, text, sides)
        shift, scale = (self.scale_shift_table[None] + embedded[:, None]).chunk(2, dim=1)
        y = self.proj_out(normalise(x) * (1 + scale) + shift)
        return unpatchify(y, *sides, self.patch)


def normalise(x: Tensor) -> Tensor:
    """Bring each token's mean to 0 and its variance to 1."""
    return F.layer_norm(x, x.shape[-1:], eps=NORM_EPS)
