"""Rules of reach for nodes that read several places, or put places at others."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from torch import nn

from .nodes import convolution, parts, pooling, resize
from .rules import Reading, Rule
from .spread import Spread

__all__ = ["PLACE_RULES", "read_resized"]

_ROWS = 2
"""Axis of the rows in ``[N, C, H, W]``; the columns' is the next."""

_RANK = 4
"""Axes of an image."""

_ON_IMAGES = (
    *(nn.Conv2d, convolution.ConvTranspose, convolution.FixedPad, pooling.Pool),
    *(resize.DepthToSpace, resize.Nearest, resize.Resample, resize.SpaceToDepth),
)
"""Kinds of modules that have a reach on images alone; PyTorch takes other values, too."""

_AROUND = {"nearest": (0, 0), "bilinear": (0, 1), "bicubic": (1, 2)}
"""Places before and after the one below it that an interpolated place reads."""


def _convolve(module: nn.Conv2d | pooling.Pool, reading: Reading) -> Spread:
    spread = _mix_channels(module, reading)
    for axis in range(2):
        kernel, stride, pad, step = (
            _pick(getattr(module, name), axis)
            for name in ("kernel_size", "stride", "padding", "dilation")
        )

        def read(
            place: int, s: int = stride, p: int = pad, d: int = step, k: int = kernel
        ) -> range:
            return range(place * s - p, place * s - p + k * d, d)

        spread = spread.read(_ROWS + axis, Fraction(stride), read)
    return spread


def _convolve_back(module: convolution.ConvTranspose, reading: Reading) -> Spread:
    spread = _mix_channels(module, reading)
    for axis in range(2):
        kernel, stride, pad, step = (
            module.kernel_size[axis],
            module.stride[axis],
            _pick(module.padding, axis),
            module.dilation[axis],
        )

        def read(
            place: int, s: int = stride, p: int = pad, d: int = step, k: int = kernel
        ) -> list[int]:
            exact = [place + p - tap * d for tap in range(k)]
            return [at // s for at in exact if at % s == 0]

        spread = spread.read(_ROWS + axis, Fraction(1, stride), read)
    return spread


def _mix_channels(module: nn.Module, reading: Reading) -> Spread:
    spread = reading.first
    if spread.axes is None or set(spread.axes[:_ROWS]) == {None}:
        return spread
    return spread if isinstance(module, pooling.Pool) else spread.lose(reading.name)


def _pick(value: object, axis: int) -> int:
    picked: int = value[axis] if isinstance(value, tuple | list) else value  # type: ignore[assignment]
    return picked


def _pad_fixed(module: convolution.FixedPad, reading: Reading) -> Spread:
    left, _, above, _ = module.pads
    spread = _shift(reading.first, _ROWS, above)
    return _shift(spread, _ROWS + 1, left)


def _shift(spread: Spread, axis: int, begin: int) -> Spread:
    """Return a dependence after cells were added before the first, or with less than none, cut."""
    return spread.read(axis, Fraction(1), lambda place: (place - begin,))


def _pad(module: parts.Pad, reading: Reading) -> Spread:
    spread = reading.first
    if spread.axes is None:
        return spread
    pads = module.pads or reading.sizes
    if pads is None or max(map(abs, pads)) > parts.MOST_PAD:
        return spread.lose(f"{reading.name}, whose width depends on the image's size")
    axes = module.axes or tuple(range(len(spread.axes)))
    for index, axis in enumerate(axes):
        begin, end = (pads[index + half * len(axes)] for half in range(2))
        side = spread.axes[axis]
        if side is None:
            continue
        if module.mode != "constant":
            spread = spread.change(side, spread.sides[side].mirror(begin, end))
        spread = _shift(spread, axis, begin)
    return spread


def _slice(module: parts.Slice, reading: Reading) -> Spread:
    spread = reading.first
    if spread.axes is None:
        return spread
    axes = module.axes or tuple(range(len(module.starts or module.ends or spread.axes)))
    for index, axis in enumerate(axes):
        if spread.axes[axis] is None:
            continue
        start = -1 if module.starts is None else module.starts[index]
        end = None if module.ends is None else module.ends[index]
        grows = reading.output[0][axis] != reading.output[1][axis]
        if start < 0 or not grows or (end is not None and 0 <= end < parts.LAST):
            return spread.lose(f"{reading.name}, which takes a part that depends on the size")
        step = 1 if module.steps is None else module.steps[index]

        def read(place: int, start: int = start, step: int = step) -> tuple[int]:
            return (start + place * step,)

        spread = spread.read(axis, Fraction(step), read)
    return spread


def _shuffle(module: resize.DepthToSpace, reading: Reading) -> Spread:
    spread = _mix_channels(module, reading)
    for side in _places(spread):
        spread = spread.change(side, spread.sides[side].join(module.block), reading.name)
    return spread


def _unshuffle(module: resize.SpaceToDepth, reading: Reading) -> Spread:
    spread = _mix_channels(module, reading)
    for side in _places(spread):
        spread = spread.change(side, spread.sides[side].part(module.block), reading.name)
    return spread


def _places(spread: Spread) -> list[int]:
    """Return the sides of the image that rows and columns run along."""
    return [side for side in (spread.axes or ())[_ROWS:] if side is not None]


def _resize(module: resize.Nearest | resize.Resample, reading: Reading) -> Spread:
    spread = reading.first
    if isinstance(module, resize.Resample) and module.corners:
        return spread.lose(f"{reading.name}, whose places depend on the size (align_corners)")
    mode = module.mode if isinstance(module, resize.Resample) else "nearest"
    for axis in (_ROWS, _ROWS + 1):
        pairs = zip(reading.inputs[0], reading.output, strict=True)
        scales = {Fraction(after[axis], before[axis]) for before, after in pairs}
        if len(scales) > 1:
            return spread.lose(f"{reading.name}, whose scale depends on the size")
        spread = read_resized(spread, axis, mode, scales.pop())
    return spread


def read_resized(spread: Spread, axis: int, mode: str, scale: Fraction) -> Spread:
    """Return a dependence after an axis was resized without antialiasing.

    Args:
        spread: dependence before.
        axis: of the tensor.
        mode: nearest, bilinear or bicubic, the latter two at half-pixel centres.
        scale: places after over places before.
    """
    before, after = _AROUND[mode]
    half = Fraction(0 if mode == "nearest" else 1, 2)

    def read(place: int) -> range:
        start = math.floor((place + half) / scale - half)
        return range(start - before, start + after + 1)

    return spread.read(axis, 1 / scale, read)


def apply_rule(
    module: nn.Module, reading: Reading, rules: Mapping[type[nn.Module], Rule]
) -> Spread:
    """Return the dependence of what a node gives; of one without a rule, on everything."""
    if isinstance(module, nn.Sequential):
        spread = reading.first
        for layer in module:
            spread = apply_rule(layer, replace(reading, spreads=(spread,)), rules)
        return spread
    rule = rules.get(type(module))
    flat = isinstance(module, _ON_IMAGES) and len(reading.inputs[0][0]) != _RANK
    if rule is None or flat:
        return reading.first.lose(f"{reading.name}, whose reach is not known", axes=True)
    return rule(module, reading)


PLACE_RULES: Mapping[type[nn.Module], Rule] = {
    convolution.ConvTranspose: _convolve_back,
    convolution.FixedPad: _pad_fixed,
    nn.Conv2d: _convolve,
    parts.Pad: _pad,
    parts.Slice: _slice,
    pooling.Pool: _convolve,
    resize.DepthToSpace: _shuffle,
    resize.Nearest: _resize,
    resize.Resample: _resize,
    resize.SpaceToDepth: _unshuffle,
}
"""Rules by the kinds of modules."""
