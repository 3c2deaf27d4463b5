"""SD3's text stream: the part of the teacher that TinySR drops.

In a joint block each token attends to those of both streams. Here are the text's modules, how both
streams run together, and what the text adds to the cost. Names are those of diffusers'
``SD3Transformer2DModel``.
"""

from __future__ import annotations

import math
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.models.accounting import Cost, count_cost
from tinysr.models.layers.sd3 import (
    Block,
    FeedForward,
    Modulation,
    Transformer,
    TransformerConfig,
    norm,
    split_heads,
)

__all__ = ["TEXT_CHANNELS", "TEXT_TOKENS", "TextBlock", "TextStream", "count_text_stream"]

TEXT_TOKENS = 77 + 256
"""Tokens of TSD-SR's prompt: CLIP's and T5's."""

TEXT_CHANNELS = 4096
"""Channels of a prompt's embedding."""


class TextBlock(nn.Module):
    """The text's half of a joint block; in the last one the text is only attended to."""

    def __init__(self, config: TransformerConfig, *, last: bool) -> None:
        super().__init__()
        dim = config.dim
        self.norm1_context = Modulation(dim, 2 if last else 6)
        self.attn = nn.ModuleDict({f"add_{name}_proj": nn.Linear(dim, dim) for name in "qkv"})
        self.ff_context: FeedForward | None = None
        if not last:
            self.attn["to_add_out"] = nn.Linear(dim, dim)
            self.ff_context = FeedForward(dim, config.ff_dim)

    def forward(
        self, image: Block, x: Tensor, text: Tensor, conditioning: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Run both halves of a joint block.

        Args:
            image: the image's half.
            x: the image's tokens, ``[N, L, dim]``.
            text: the text's tokens, ``[N, T, dim]``; the last block returns them as they are.
            conditioning: ``[N, dim]``.
        """
        shift, scale, gate, *image_mlp = image.norm1(conditioning)
        image_heads = image.attn.heads(_modulate(x, shift, scale))
        text_shift, text_scale, *text_rest = self._modulation(conditioning)
        text_heads = self._heads(_modulate(text, text_shift, text_scale))
        q, k, v = (torch.cat(pair, 2) for pair in zip(image_heads, text_heads, strict=True))
        y = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        ours, theirs = y[:, : x.shape[1]], y[:, x.shape[1] :]
        x = _feed_forward(image.ff, x + gate * image.attn.to_out(ours), *image_mlp)
        if self.ff_context is None:
            return x, text
        text_gate, *text_mlp = text_rest
        text = text + text_gate * self.attn["to_add_out"](theirs)
        return x, _feed_forward(self.ff_context, text, *text_mlp)

    def _modulation(self, conditioning: Tensor) -> tuple[Tensor, ...]:
        parts: tuple[Tensor, ...] = self.norm1_context(conditioning)
        # The last block's norm gives its scale first.
        return parts if self.ff_context is not None else parts[::-1]

    def _heads(self, text: Tensor) -> list[Tensor]:
        return [split_heads(self.attn[f"add_{name}_proj"](text)) for name in "qkv"]


def _modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    return norm(x) * (1 + scale) + shift


def _feed_forward(ff: FeedForward, x: Tensor, shift: Tensor, scale: Tensor, gate: Tensor) -> Tensor:
    y: Tensor = x + gate * ff(_modulate(x, shift, scale))
    return y


class TextStream(nn.Module):
    """The embedder of prompts, and the text's halves of all blocks."""

    def __init__(self, config: TransformerConfig, channels: int = TEXT_CHANNELS) -> None:
        super().__init__()
        self.context_embedder = nn.Linear(channels, config.dim)
        self.transformer_blocks = nn.ModuleList(
            TextBlock(config, last=block == config.depth - 1) for block in range(config.depth)
        )

    def forward(
        self, image: Transformer, z: Tensor, timestep: Tensor, pooled: Tensor, prompt: Tensor
    ) -> Tensor:
        """Return the velocity that both streams predict together.

        Args:
            image: the image's stream.
            z: latents ``[N, C, h, w]``.
            timestep: times ``[N]``.
            pooled: the prompt's pooled embedding, ``[N, pooled_size]``.
            prompt: its tokens' embeddings, ``[N, T, channels]``.

        Returns:
            v, shaped as z.
        """
        conditioning = image.time_text_embed(timestep, pooled)
        x, text = image.pos_embed(z), self.context_embedder(prompt)
        for block, words in zip(image.blocks, self.transformer_blocks, strict=True):
            x, text = cast(TextBlock, words)(block, x, text, conditioning)
        rows, columns = (side // image.patch for side in z.shape[2:])
        return image.velocity(x, conditioning, rows, columns)


def count_text_stream(config: TransformerConfig, image_tokens: int) -> Cost:
    """Count what the text adds to a square image of so many tokens, by running both streams.

    What joint attention adds over the image alone is counted with the products between
    activations.
    """
    side = math.isqrt(image_tokens) * config.patch
    with torch.device("meta"):
        image, text = Transformer(config), TextStream(config)
        z = torch.empty(1, config.latent_channels, side, side)
        prompt = torch.empty(1, TEXT_TOKENS, TEXT_CHANNELS)
        pooled = torch.empty(1, config.pooled_size)
        both = count_cost(
            nn.ModuleList([image, text]), text, image, z, torch.empty(1), pooled, prompt
        )
        alone = count_cost(image, image, z, torch.empty(1), pooled)
    return both - alone
