"""What SD3's text stream weighs and does: the part of the teacher that TinySR drops.

It is built on the "meta" device to be counted and never holds a weight; checkpoints' own text
streams are dropped as they are read. Names are diffusers' ``SD3Transformer2DModel``'s.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tinysr.models.accounting import Cost, cost
from tinysr.models.config import TransformerConfig
from tinysr.models.transformer import FeedForward, Modulation

__all__ = ["TEXT_CHANNELS", "TEXT_TOKENS", "TextStream", "text_stream_cost"]

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

    def forward(self, x: Tensor, conditioning: Tensor) -> Tensor:
        """Run every product of ``[1, T, dim]`` with weights; the values mean nothing."""
        self.norm1_context(conditioning)
        for linear in self.attn.values():
            x = linear(x)
        return x if self.ff_context is None else self.ff_context(x)


class TextStream(nn.Module):
    """The embedder of prompts, and the text's halves of all blocks."""

    def __init__(self, config: TransformerConfig, channels: int = TEXT_CHANNELS) -> None:
        super().__init__()
        self.context_embedder = nn.Linear(channels, config.dim)
        self.transformer_blocks = nn.ModuleList(
            TextBlock(config, last=block == config.depth - 1) for block in range(config.depth)
        )

    def forward(self, prompt: Tensor, conditioning: Tensor) -> Tensor:
        """Run every product of a prompt ``[1, T, channels]`` with weights."""
        x: Tensor = self.context_embedder(prompt)
        for block in self.transformer_blocks:
            x = block(x, conditioning)
        return x


def text_stream_cost(config: TransformerConfig, image_tokens: int) -> Cost:
    """Count what the text adds to an image of so many tokens.

    In joint attention each token attends to those of both streams; what that adds over the image
    alone is counted with the products between activations.
    """
    with torch.device("meta"):
        stream = TextStream(config)
        prompt = torch.empty(1, TEXT_TOKENS, TEXT_CHANNELS)
        counted = cost(stream, stream, prompt, torch.empty(1, config.dim))
    joint = (image_tokens + TEXT_TOKENS) ** 2 - image_tokens**2
    attention = 2 * joint * config.dim * config.depth
    return Cost(parameters=counted.parameters, macs=counted.macs, attention_macs=attention)
