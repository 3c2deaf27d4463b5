"""SD3's image stream, as trained: with its time, pooled-text and modulation modules.

Key names are those of diffusers' ``SD3Transformer2DModel``, so that a checkpoint's keys and
ours are the same words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.models.layers.tokens import crop_centre, sincos_positions, time_embedding, unpatchify

__all__ = [
    "HEAD_SIZE",
    "NORM_EPS",
    "Attention",
    "Block",
    "FeedForward",
    "GeluProjection",
    "Modulation",
    "PatchEmbed",
    "Transformer",
    "TransformerConfig",
    "norm",
    "split_heads",
]

NORM_EPS = 1e-6
"""Epsilon of every LayerNorm."""

HEAD_SIZE = 64
"""Channels of one attention head, in every preset."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TransformerConfig:
    """SD3's image stream (paper section 3.1): joint blocks without their text half."""

    depth: int = 12
    heads: int = 24
    latent_channels: int = 16
    patch: int = 2
    """Latent pixels along a token's side."""
    pooled_size: int = 2048
    """Length of the pooled text embedding."""
    time_channels: int = 256
    """Length of the sinusoidal time embedding."""
    position_grid: int = 64
    """Side, in tokens, of the position table that is kept: a centre crop of the 192² one."""

    @property
    def dim(self) -> int:
        """Channels of a token."""
        return self.heads * HEAD_SIZE

    @property
    def ff_dim(self) -> int:
        """Channels inside the feed-forward."""
        return 4 * self.dim


class TwoLayer(nn.Module):
    """linear, SiLU, linear: the embedders of time and pooled text."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(inputs, outputs)
        self.linear_2 = nn.Linear(outputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, inputs]`` to ``[N, outputs]``."""
        y: Tensor = self.linear_2(F.silu(self.linear_1(x)))
        return y


class TimeTextEmbed(nn.Module):
    """The sum of the time's and the pooled text's embeddings."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.time_channels = config.time_channels
        self.timestep_embedder = TwoLayer(config.time_channels, config.dim)
        self.text_embedder = TwoLayer(config.pooled_size, config.dim)

    def forward(self, timestep: Tensor, pooled: Tensor) -> Tensor:
        """Map ``[N]`` and ``[N, pooled_size]`` to the conditioning ``[N, dim]``."""
        time: Tensor = self.timestep_embedder(
            time_embedding(timestep, self.time_channels).to(pooled.dtype)
        )
        text: Tensor = self.text_embedder(pooled)
        return time + text


class Modulation(nn.Module):
    """adaLN's linear: the conditioning → ``parts`` vectors of ``dim``."""

    def __init__(self, dim: int, parts: int) -> None:
        super().__init__()
        self.parts = parts
        self.linear = nn.Linear(dim, parts * dim)

    def forward(self, conditioning: Tensor) -> tuple[Tensor, ...]:
        """Map ``[N, dim]`` to ``parts`` tensors ``[N, 1, dim]``."""
        y: Tensor = self.linear(F.silu(conditioning))
        return y[:, None].chunk(self.parts, dim=2)


class PatchEmbed(nn.Module):
    """Latents → tokens, plus their positions."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.proj = nn.Conv2d(config.latent_channels, config.dim, config.patch, config.patch)
        table = sincos_positions(config.dim, config.position_grid)
        self.pos_embed: Tensor
        self.register_buffer("pos_embed", table)

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, h, w]`` to ``[N, h/patch · w/patch, dim]``."""
        grid: Tensor = self.proj(z)
        rows, columns = grid.shape[2:]
        return grid.flatten(2).transpose(1, 2) + crop_centre(self.pos_embed, rows, columns)


def split_heads(x: Tensor) -> Tensor:
    """Map ``[N, L, dim]`` to ``[N, heads, L, 64]``."""
    return x.reshape(*x.shape[:2], -1, HEAD_SIZE).transpose(1, 2)


class Attention(nn.Module):
    """Multi-head self-attention with heads of 64, biases, and no norm on q and k."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.to_q = nn.Linear(dim, dim)
        self.to_k = nn.Linear(dim, dim)
        self.to_v = nn.Linear(dim, dim)
        self.to_out = nn.Sequential(nn.Linear(dim, dim))

    def heads(self, x: Tensor) -> list[Tensor]:
        """Map ``[N, L, dim]`` to q, k and v, each ``[N, heads, L, 64]``."""
        return [split_heads(to(x)) for to in (self.to_q, self.to_k, self.to_v)]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, L, dim]`` to the same shape."""
        q, k, v = self.heads(x)
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        out: Tensor = self.to_out(y)
        return out


class GeluProjection(nn.Module):
    """A linear, then the tanh form of GELU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.proj = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, L, inputs]`` to ``[N, L, outputs]``."""
        return F.gelu(self.proj(x), approximate="tanh")


class FeedForward(nn.Module):
    """dim → 4·dim → dim."""

    def __init__(self, dim: int, inner: int) -> None:
        super().__init__()
        # The middle is where diffusers keeps its dropout; it holds the key numbers in place.
        self.net = nn.Sequential(GeluProjection(dim, inner), nn.Identity(), nn.Linear(inner, dim))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, L, dim]`` to the same shape."""
        y: Tensor = self.net(x)
        return y


class Block(nn.Module):
    """One transformer block with adaLN-Zero modulation."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.norm1 = Modulation(config.dim, 6)
        self.attn = Attention(config.dim)
        self.ff = FeedForward(config.dim, config.ff_dim)

    def forward(self, x: Tensor, conditioning: Tensor) -> Tensor:
        """Map ``[N, L, dim]`` and ``[N, dim]`` to ``[N, L, dim]``."""
        shift_msa, scale_msa, gate_msa, shift_mlp, scale_mlp, gate_mlp = self.norm1(conditioning)
        x = x + gate_msa * self.attn(norm(x) * (1 + scale_msa) + shift_msa)
        y: Tensor = x + gate_mlp * self.ff(norm(x) * (1 + scale_mlp) + shift_mlp)
        return y


class Transformer(nn.Module):
    """Latents → predicted velocity v, at a time and a pooled text."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.patch = config.patch
        self.pos_embed = PatchEmbed(config)
        self.time_text_embed = TimeTextEmbed(config)
        self.transformer_blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm_out = Modulation(config.dim, 2)
        self.proj_out = nn.Linear(config.dim, config.patch**2 * config.latent_channels)

    @property
    def blocks(self) -> list[Block]:
        """The blocks, with their type."""
        return cast("list[Block]", list(self.transformer_blocks))

    def forward(self, z: Tensor, timestep: Tensor, pooled: Tensor) -> Tensor:
        """Map z ``[N, C, h, w]``, times ``[N]`` and ``[N, pooled_size]`` to v, shaped as z."""
        conditioning = self.time_text_embed(timestep, pooled)
        x = self.pos_embed(z)
        for block in self.transformer_blocks:
            x = block(x, conditioning)
        return self.velocity(x, conditioning, z.shape[2] // self.patch, z.shape[3] // self.patch)

    def velocity(self, x: Tensor, conditioning: Tensor, rows: int, columns: int) -> Tensor:
        """Map the last block's tokens ``[N, rows·columns, dim]`` to v ``[N, C, …]``."""
        # Unlike the blocks, the last norm gives its scale first.
        scale, shift = self.norm_out(conditioning)
        v: Tensor = self.proj_out(norm(x) * (1 + scale) + shift)
        return unpatchify(v, rows, columns, self.patch)


def norm(x: Tensor) -> Tensor:
    """Normalise tokens ``[N, L, dim]`` to mean 0 and variance 1, without weights."""
    return F.layer_norm(x, x.shape[-1:], eps=NORM_EPS)
