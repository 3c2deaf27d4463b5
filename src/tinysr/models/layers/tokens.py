"""Tokens of a transformer: their positions, and the way from latents and back."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tinysr.errors import UnsupportedError

__all__ = [
    "POSITION_TABLE_SIDE",
    "check_grid",
    "crop_centre",
    "sincos_positions",
    "time_embedding",
    "unpatchify",
]


POSITION_TABLE_SIDE = 192
"""Side, in tokens, of SD3's position table."""


_POSITION_STEP = 1 / 3
"""SD3's grid step: a base of 64 tokens spread over a table of 192."""


def sincos_positions(dim: int, side: int) -> Tensor:
    """Return SD3's sin-cos position table, centre-cropped to ``side``², ``[1, side², dim]``."""
    start = (POSITION_TABLE_SIDE - side) // 2
    steps = torch.arange(start, start + side, dtype=torch.float64) * _POSITION_STEP
    frequencies = 10000.0 ** -(torch.arange(dim // 4, dtype=torch.float64) / (dim / 4))
    angles = steps[:, None] * frequencies  # [side, dim/4]
    line = torch.cat([angles.sin(), angles.cos()], dim=1)  # [side, dim/2]
    columns = line[None, :, :].expand(side, side, -1)
    rows = line[:, None, :].expand(side, side, -1)
    return torch.cat([columns, rows], dim=2).reshape(1, side * side, dim).float()


def check_grid(rows: int, columns: int, side: int) -> None:
    """Refuse more tokens than a square position table of so many along its side has.

    Raises:
        UnsupportedError: there are more.
    """
    if rows > side or columns > side:
        raise UnsupportedError(
            f"{rows}×{columns} tokens asked of a position table of {side}×{side}: use smaller tiles"
        )


def crop_centre(table: Tensor, rows: int, columns: int) -> Tensor:
    """Crop a square position table ``[1, side², D]`` to its middle ``[1, rows·columns, D]``."""
    side = math.isqrt(table.shape[1])
    check_grid(rows, columns, side)
    top, left = (side - rows) // 2, (side - columns) // 2
    grid = table.reshape(1, side, side, -1)[:, top : top + rows, left : left + columns]
    return grid.reshape(1, rows * columns, -1)


def time_embedding(timestep: Tensor, channels: int) -> Tensor:
    """Return the sinusoidal embedding of ``timestep`` ``[N]``: ``[N, channels]``, cosines first."""
    half = channels // 2
    exponents = torch.arange(half, dtype=torch.float32, device=timestep.device) / half
    angles = timestep[:, None].float() * torch.exp(-math.log(10000.0) * exponents)
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def unpatchify(tokens: Tensor, rows: int, columns: int, patch: int) -> Tensor:
    """Map tokens ``[N, rows·columns, patch²·C]`` to latents ``[N, C, rows·patch, …]``."""
    # The batch is the only open size, so that an exported graph computes no shapes.
    channels = tokens.shape[2] // patch**2
    grid = tokens.reshape(-1, rows, columns, patch, patch, channels)
    return grid.permute(0, 5, 1, 3, 2, 4).reshape(-1, channels, rows * patch, columns * patch)
