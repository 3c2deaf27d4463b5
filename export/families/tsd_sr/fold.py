"""One stream's half of a joint block with its conditions folded in.

Both streams are modulated alike: norms are scaled and shifted by vectors of the time and the pooled
text, and what attention and the feed-forward give is gated. All of these are constants.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from torch import Tensor, nn

from tinysr.models import HEAD_SIZE
from tinysr.models.layers.sd3 import Block, FeedForward, GeluProjection, Modulation
from tinysr.models.layers.sd3_text import TextBlock

from ...model.baked_transformer import BakedFeedForward
from ...model.linears import join_outputs, lay_out, modulate_inputs, scale_outputs

__all__ = ["Half", "fold_image", "fold_text", "freeze_modulation"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Half:
    """The linears of one stream in a block."""

    qkv: nn.Linear
    """Queries, keys and values, the queries scaled; of a text that is only read, keys and values
    alone."""
    out: nn.Linear | None
    """Linear after attention; None for a text that is only read."""
    ff: BakedFeedForward | None
    """Feed-forward; likewise."""


def freeze_modulation(modulation: Modulation, conditioning: Tensor) -> list[Tensor]:
    """Return the vectors ``[dim]`` that a modulation gives for the one conditioning."""
    return [vector.flatten().clone() for vector in modulation(conditioning)]


def fold_image(block: Block, conditioning: Tensor) -> Half:
    """Fold the image's half of a block."""
    attn = block.attn
    shift, scale, gate, *vectors = freeze_modulation(block.norm1, conditioning)
    return Half(
        qkv=_fold_heads((attn.to_q, attn.to_k, attn.to_v), shift, scale),
        out=scale_outputs(cast(nn.Linear, attn.to_out[0]), gate),
        ff=_fold_feed_forward(block.ff, *vectors),
    )


def fold_text(block: TextBlock, conditioning: Tensor) -> Half:
    """Fold the text's half of a block; the last one drops its queries, which nobody asks."""
    vectors = freeze_modulation(block.norm1_context, conditioning)
    q, k, v = (cast(nn.Linear, block.attn[f"add_{name}_proj"]) for name in "qkv")
    if block.ff_context is None:
        scale, shift = vectors  # unlike all others, this norm gives its scale first
        parts = [modulate_inputs(layer, 1 + scale, shift) for layer in (k, v)]
        return Half(qkv=join_outputs(parts), out=None, ff=None)
    shift, scale, gate, *rest = vectors
    return Half(
        qkv=_fold_heads((q, k, v), shift, scale),
        out=scale_outputs(cast(nn.Linear, block.attn["to_add_out"]), gate),
        ff=_fold_feed_forward(block.ff_context, *rest),
    )


def _fold_heads(layers: Sequence[nn.Linear], shift: Tensor, scale: Tensor) -> nn.Linear:
    """Fold a norm's scale and shift into q, k and v, 1/√64 into q, and join them."""
    q, k, v = (modulate_inputs(layer, 1 + scale, shift) for layer in layers)
    return join_outputs((scale_outputs(q, HEAD_SIZE**-0.5), k, v))


def _fold_feed_forward(
    ff: FeedForward, shift: Tensor, scale: Tensor, gate: Tensor
) -> BakedFeedForward:
    first, last = cast(GeluProjection, ff.net[0]).proj, cast(nn.Linear, ff.net[2])
    return BakedFeedForward(
        lay_out(modulate_inputs(first, 1 + scale, shift)), lay_out(scale_outputs(last, gate))
    )
