"""Memory that a run of Stable Diffusion's autoencoder holds, computed from its layers."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["count_decoder_bytes", "count_encoder_bytes"]

_FLOAT = 4

_MAPS = 4
"""Feature maps in memory at once: a block's input, which the skip needs, and around a convolution
what it reads, what it writes, and a copy in its kernel's own layout."""

_SCORES = 2
"""Copies of the middle's attention scores: before and after the softmax."""


def count_encoder_bytes(widths: Sequence[int], cells: int) -> int:
    """Return the bytes that an encoder holds for each latent cell, in fp32.

    Args:
        widths: channels, from the level at the size of the image to the latents'.
        cells: latent cells of a tile; the scores of each are as many.
    """
    areas = (int(4**level) for level in reversed(range(len(widths))))
    most = max(width * area for width, area in zip(widths, areas, strict=True))
    return _FLOAT * max(_MAPS * most, _SCORES * cells)


def count_decoder_bytes(widths: Sequence[int], cells: int = 0) -> int:
    """Return the bytes that a decoder holds for each latent cell, in fp32.

    The most is held at some level's first block, which reads what the level before has doubled.

    Args:
        widths: channels, from the level at the size of the latents to the image's.
        cells: latent cells of a tile; 0 where the decoder has no attention.
    """
    befores = (widths[0], *widths[:-1])
    areas = (int(4**level) for level in range(len(widths)))
    most = max(max(pair) * area for *pair, area in zip(befores, widths, areas, strict=True))
    return _FLOAT * max(_MAPS * most, _SCORES * cells)
