"""Bytes of feature maps that a run of these layers holds, for each cell, in fp32."""

from __future__ import annotations

from collections.abc import Sequence

from tinysr.models.layers.unet2d import UnetConfig

__all__ = ["SCORE_BYTES", "count_kl_bytes", "count_unet_bytes"]

_FLOAT = 4

_MAPS = 4
"""Feature maps in memory at once: a block's input, which the skip needs, and around a convolution
what it reads, what it writes, and a copy in its kernel's own layout."""

_FEED_FORWARD = 16
"""Channels over a token's around a gated linear: its two halves of 4, their product, the gate's
GELU and the token."""

_SCORES = 2
"""Copies of attention's scores: before and after the softmax."""

SCORE_BYTES = _SCORES * _FLOAT
"""Bytes that an autoencoder's one head of attention holds for each two cells of the latents."""


def count_unet_bytes(config: UnetConfig, cells: int) -> int:
    """Return the bytes that a run of a UNet holds for each cell of its input.

    The most is held on the first level, beside what the way down keeps for the way up: around the
    convolution that reads both, or in a transformer.

    Args:
        config: the network's.
        cells: of a whole run, which attention looks at all at once.
    """
    widths, heads = config.widths, config.heads
    counts = (len(blocks) + 1 for blocks in config.way_down)
    kept = sum(
        count * width / 4**level
        for level, (count, width) in enumerate(zip(counts, widths, strict=True))
    )
    joined = _MAPS * (widths[0] + widths[min(1, len(widths) - 1)])
    scores = _SCORES * heads[0] * cells
    return int(_FLOAT * (kept + max(joined, _FEED_FORWARD * widths[0], scores)))


def count_kl_bytes(widths: Sequence[int]) -> int:
    """Return the bytes that a run of half an autoencoder holds for each cell of the latents.

    The most is held at some level's border, where channels change; what the middle's attention
    holds is :data:`SCORE_BYTES`.

    Args:
        widths: channels, from the level at the size of the latents to the image's.
    """
    befores = (widths[0], *widths[:-1])
    areas = (int(4**level) for level in range(len(widths)))
    most = max(max(pair) * area for *pair, area in zip(befores, widths, areas, strict=True))
    return _FLOAT * _MAPS * most
