"""The hand-wired channels: they carry the low-resolution image from end to end.

For a 512² output: two stride-2 convolutions average the bicubic input back to its 128² pixels; the
third packs each 2×2 of them into one latent cell. Nearest upsampling alone could not unpack a cell,
for its four pixels see the same values; so the transformer's bias writes a 2×2-periodic pattern
into two spare latents. After the upsampling a pixel's neighbours tell left from right and top from
bottom, and ReLU gates pick the right pixel of the four. Two bilinear interpolations follow.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from tinysr.models.layers.autoencoder_tiny import Decoder, Encoder, ResidualBlock, SeparableConv

__all__ = ["LATENTS", "WIRED", "wire_decoder", "wire_encoder", "wire_pattern"]

PHASES = tuple((row, column) for row in (0, 1) for column in (0, 1))
"""The four pixels of a cell; pixel ``p``'s RGB are the channels ``3p … 3p + 2``."""

PIXELS = 3 * len(PHASES)
PATTERNS = (PIXELS, PIXELS + 1)
"""Latents that alternate by column and by row."""

LATENTS = PIXELS + len(PATTERNS)
"""Latent channels that the wiring owns."""

PATTERN = 3 * math.atanh(0.5 / 3)
"""The pattern's size in the latents: 0.5 after the decoder's soft clamp ``3·tanh(z/3)``."""

# The decoder's channels at 1/8 of the image side; the pixels come first, as in the latents.
COLUMN, ROW, ONE = 12, 13, 14
# After the first upsampling: two terms for "right half" and two for "lower half"; RGB; borders.
RIGHT, LOWER, COLOUR, LEFT_RIGHT, TOP_BOTTOM = (15, 16), (17, 18), (19, 20, 21), 22, 23

WIRED = 24
"""Channels that the wiring owns at its widest."""

_AT_HALF = (*range(PIXELS), ONE, *RIGHT, *LOWER, *COLOUR)
_SMOOTH = (ONE, *COLOUR, LEFT_RIGHT, TOP_BOTTOM)

FAINT = 0.01
"""Initial scale of the last convolution and of the spare latents, relative to their He features."""


def wire_pattern(bias: Tensor) -> None:
    """Write the pattern into ``proj_out.bias`` viewed as ``[2, 2, C]``: row, column, latent."""
    # z_HR is z - v: even columns and rows get -PATTERN there, odd ones +PATTERN.
    for row, column in PHASES:
        bias[row, column, PATTERNS[0]] = PATTERN * (1 - 2 * column)
        bias[row, column, PATTERNS[1]] = PATTERN * (1 - 2 * row)


def wire_encoder(encoder: Encoder) -> None:
    """Carry RGB down to LR pixels, then pack 2×2 of them into a cell."""
    layers = list(encoder.layers)
    blocks = _blocks(layers)
    first, *downs, last = (layer for layer in layers if layer not in blocks)
    for block in blocks:
        _silence(_make_mixing(block.conv[4]), range(PIXELS))
    half = torch.tensor([0.0, 0.5, 0.5])
    average = torch.outer(half, half)
    _pass(first, {c: c for c in range(3)}, _one_pixel(1, 1))
    _pass(downs[0], {c: c for c in range(3)}, average)
    _pass(downs[1], {c: c % 3 for c in range(PIXELS)}, average)
    for channel in range(PIXELS):
        row, column = PHASES[channel // 3]
        _pass(downs[2], {channel: channel}, _one_pixel(1 + row, 1 + column))
    _pass(last, {c: c for c in range(PIXELS)}, _one_pixel(1, 1))
    mixing = _make_mixing(last)
    cast(Tensor, mixing.bias)[:PIXELS] = -0.5
    mixing.weight[PIXELS:] *= 10 * FAINT
    mixing.weight[list(PATTERNS)] = 0


def _one_pixel(row: int, column: int) -> Tensor:
    kernel = torch.zeros(3, 3)
    kernel[row, column] = 1
    return kernel


def _make_mixing(conv: nn.Module) -> nn.Conv2d:
    """Return the convolution whose outputs are the layer's: the pointwise one of a pair."""
    return conv.pointwise if isinstance(conv, SeparableConv) else cast(nn.Conv2d, conv)


def _pass(conv: nn.Module, sources: Mapping[int, int], kernel: Tensor) -> None:
    """Make each output channel its source channel, filtered by ``kernel`` ``[3, 3]``."""
    mixing = _make_mixing(conv)
    for target, source in sources.items():
        mixing.weight[target] = 0
        if isinstance(conv, SeparableConv):
            conv.depthwise.weight[source, 0] = kernel
            mixing.weight[target, source] = 1
        else:
            # A separable pair multiplied out.
            mixing.weight[target, source] = kernel


def _silence(conv: nn.Conv2d, channels: Iterable[int]) -> None:
    silent = list(channels)
    conv.weight[silent] = 0
    if conv.bias is not None:
        conv.bias[silent] = 0


def wire_decoder(decoder: Decoder) -> None:
    """Unpack the cells, then interpolate bilinearly twice."""
    layers = list(decoder.layers)
    convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    # A channel that starts at zero behind a ReLU stays there: only what is in use is silenced.
    level = iter(((*range(PIXELS), COLUMN, ROW, ONE), _AT_HALF, _SMOOTH, _SMOOTH))
    wired = next(level)
    for layer in layers:
        if isinstance(layer, nn.Upsample):
            wired = next(level)
        elif isinstance(layer, ResidualBlock):
            _silence(_conv(layer, 4), wired)
    # The first block of each level, right after its convolution.
    blocks = [b for a, b in pairwise(layers) if isinstance(a, nn.Conv2d) and b in _blocks(layers)]
    _wire_cells(convs[0])
    _wire_phases(convs[1])
    _unpack(blocks[0])
    for conv, block in zip(convs[2:4], blocks[1:3], strict=True):
        _wire_bilinear(conv)
        _mend_borders(block)
    last = convs[4]
    last.weight.mul_(FAINT)
    for colour in range(3):
        last.weight[colour] = 0
        last.weight[colour, COLOUR[colour], 1, 1] = 1


def _blocks(layers: Iterable[nn.Module]) -> list[ResidualBlock]:
    return [layer for layer in layers if isinstance(layer, ResidualBlock)]


def _conv(block: nn.Module, index: int) -> nn.Conv2d:
    return cast(nn.Conv2d, cast(ResidualBlock, block).conv[index])


def _wire(
    conv: nn.Conv2d, target: int, taps: Mapping[int, Tensor | float], bias: float = 0
) -> None:
    """Make ``target`` the sum of its taps: a 3×3 kernel, or a weight on the centre pixel."""
    conv.weight[target] = 0
    for source, kernel in taps.items():
        if isinstance(kernel, Tensor):
            conv.weight[target, source] = kernel
        else:
            conv.weight[target, source, 1, 1] = kernel
    if conv.bias is not None:
        conv.bias[target] = bias


def _wire_cells(conv: nn.Conv2d) -> None:
    """Latents in ±0.5 → pixels and pattern in [0, 1], and a constant one."""
    for channel in range(PIXELS):
        _wire(conv, channel, {channel: 1.0}, 0.5)
    for target, source in zip((COLUMN, ROW), PATTERNS, strict=True):
        _wire(conv, target, {source: 1.0}, 0.5)
    _wire(conv, ONE, {}, 1.0)


def _wire_phases(conv: nn.Conv2d) -> None:
    """Tell where in its cell a pixel lies, from the pattern u and its slope d.

    Along a line u is 0 0 1 1 0 0 1 1 and d = u(+1) - u(-1) is -1 1 1 -1 …, so that "right half" is
    relu(d - u) + relu(u - d - 1). The next block's ReLU does the rectifying.
    """
    slope = torch.zeros(3, 3)
    slope[1, 0], slope[1, 2] = -1, 1
    for channel in (*range(PIXELS), ONE):
        _wire(conv, channel, {channel: 1.0})
    for (first, second), pattern, line in ((RIGHT, COLUMN, slope), (LOWER, ROW, slope.T)):
        centre = torch.zeros(3, 3)
        centre[1, 1] = 1
        _wire(conv, first, {pattern: line - centre})
        _wire(conv, second, {pattern: centre - line, ONE: -1.0})
    for target in COLOUR:
        _wire(conv, target, {})


def _unpack(block: nn.Module) -> None:
    """Gate each pixel of a cell by its place, relu(pixel + right + lower - 2), and add them up."""
    first, second, third = _conv(block, 0), _conv(block, 2), _conv(block, 4)
    for channel in (*range(PIXELS), *RIGHT, *LOWER):
        _wire(first, channel, {channel: 1.0})
    for channel in range(PIXELS):
        row, column = PHASES[channel // 3]
        sides = dict.fromkeys(RIGHT, float(2 * column - 1)) | dict.fromkeys(
            LOWER, float(2 * row - 1)
        )
        _wire(second, channel, {channel: 1.0} | sides, float(-column - row))
    for colour, target in enumerate(COLOUR):
        _wire(third, target, {colour + 3 * phase: 1.0 for phase in range(4)})


def _wire_bilinear(conv: nn.Conv2d) -> None:
    """Make nearest ×2 bilinear by [1 2 1] ⊗ [1 2 1] / 16; also mark the borders."""
    line = torch.tensor([1.0, 2.0, 1.0]) / 4
    for channel in COLOUR:
        _wire(conv, channel, {channel: torch.outer(line, line)})
    _wire(conv, ONE, {ONE: 1.0})
    # Zero padding leaves the constant at 3/4 along the border, so its loss marks the border.
    across = torch.zeros(3, 3)
    across[1] = -line
    across[1, 1] += 1
    _wire(conv, LEFT_RIGHT, {ONE: 4 * across})
    _wire(conv, TOP_BOTTOM, {ONE: 4 * across.T})


def _mend_borders(block: nn.Module) -> None:
    """Give border pixels back the quarter that zero padding took: + relu(rgb + mark - 1) / 3."""
    first, second, third = _conv(block, 0), _conv(block, 2), _conv(block, 4)
    hidden = list(enumerate((c, mark) for c in COLOUR for mark in (LEFT_RIGHT, TOP_BOTTOM)))
    for unit, (colour, mark) in hidden:
        _wire(first, unit, {colour: 1.0, mark: 1.0}, -1.0)
        _wire(second, unit, {unit: 1.0})
        _wire(third, colour, {})
    for unit, (colour, _) in hidden:
        third.weight[colour, unit, 1, 1] = 1 / 3
