"""Memory that a run of Stable Diffusion's autoencoder holds, computed from its layers."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["BYTES_PER_PAIR", "count_decoder_bytes", "count_encoder_bytes"]

BYTES_PER_PAIR = 8
"""Bytes that the middle's attention holds for each two latent cells, in fp32: its one head's scores
before and after the softmax."""

_FLOAT = 4

_MAPS = 4
"""Feature maps in memory at once: a block's input, which the skip needs, and around a convolution
what it reads, what it writes, and a copy in its kernel's own layout."""


def count_encoder_bytes(widths: Sequence[int]) -> int:
    """Return the bytes that an encoder's convolutions hold for each latent cell, in fp32.

    Args:
        widths: channels, from the level at the size of the image to the latents'.
    """
    areas = (int(4**level) for level in reversed(range(len(widths))))
    most = max(width * area for width, area in zip(widths, areas, strict=True))
    return _FLOAT * _MAPS * most


def count_decoder_bytes(widths: Sequence[int]) -> int:
    """Return the bytes that a decoder's convolutions hold for each latent cell, in fp32.

    The most is held at some level's first block, which reads what the level before has doubled.

    Args:
        widths: channels, from the level at the size of the latents to the image's.
    """
    befores = (widths[0], *widths[:-1])
    areas = (int(4**level) for level in range(len(widths)))
    most = max(max(pair) * area for *pair, area in zip(befores, widths, areas, strict=True))
    return _FLOAT * _MAPS * most
