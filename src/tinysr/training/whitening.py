"""Tokens that see more than their mean colour.

A token is 4×4 low-resolution pixels, and nine tenths of what pixels of a photo vary by is common to
all of them. Behind random weights, and the LayerNorms that follow, tokens would differ by their
colour alone, in some two directions out of all, and a transformer would have nothing to restore
from. So the first projection whitens them: what neighbouring pixels differ by counts as much as
what they share. It is computed from how pixels of photos correlate, not from any image.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn

from tinysr.training.wiring import LATENTS, PATTERNS, PHASES, PIXELS

__all__ = ["as_latents", "pixel_covariance", "whiten_tokens"]

_DEVIATION = 0.25
"""Deviation of a pixel's values in [0, 1]."""

_NEIGHBOURS = 0.985
"""Correlation of neighbouring pixels; it falls exponentially with their distance."""

_COLOURS = 0.97
"""Correlation of a pixel's channels."""

_FLOOR = 0.005
"""Deviation that every direction has at least: noise, and the steps of 8 bits."""

_SPARE = 0.05
"""Deviation of the latents that carry no pixels."""

_GAIN = 2.5
"""Gain of a token's features, beside a position table of about 0.7: photos vary less than the
model."""


def whiten_tokens(projection: nn.Conv2d, generator: torch.Generator) -> None:
    """Set a patch embedding ``[dim, C, 2, 2]`` of wired latents to random directions, whitened."""
    covariance = pixel_covariance()
    values, vectors = torch.linalg.eigh(covariance)
    whitening = (vectors * values.rsqrt()) @ vectors.T
    weight = projection.weight
    scale = _GAIN / math.sqrt(len(covariance))
    directions = torch.empty(len(weight), len(covariance), dtype=torch.float64)
    directions.normal_(0, scale, generator=generator)
    weight.zero_()
    weight[:, :PIXELS] = as_latents(directions @ whitening).to(weight.dtype)
    weight[:, LATENTS:].normal_(0, scale / _SPARE, generator=generator)
    weight[:, list(PATTERNS)] = 0  # nothing before the transformer writes them
    cast(Tensor, projection.bias).zero_()


def pixel_covariance() -> Tensor:
    """Return the covariance of a token's 4×4 RGB pixels, ``[48, 48]``: row, column, channel."""
    side = torch.arange(4, dtype=torch.float64)
    places = torch.cartesian_prod(side, side)
    near = _NEIGHBOURS ** torch.cdist(places, places)
    colours = torch.full((3, 3), _COLOURS, dtype=torch.float64).fill_diagonal_(1)
    shared = _DEVIATION**2 * torch.kron(near, colours)
    return shared + _FLOOR**2 * torch.eye(len(shared), dtype=torch.float64)


def as_latents(rows: Tensor) -> Tensor:
    """Map weights ``[dim, 48]`` of pixels to those of the latents that carry them.

    Returns:
        ``[dim, 12, 2, 2]``: latent ``3p + c`` is channel c of a cell's pixel p.
    """
    # Row and column of a token are those of the cell, and within it.
    grid = rows.reshape(-1, 2, 2, 2, 2, 3)  # [dim, cell row, row, cell column, column, channel]
    pixels = [grid[:, :, row, :, column] for row, column in PHASES]  # each [dim, 2, 2, 3]
    return torch.stack(pixels, 1).permute(0, 1, 4, 2, 3).reshape(-1, PIXELS, 2, 2)
