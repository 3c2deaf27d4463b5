"""Rules of reach for nodes that compute place by place, or mix all places along an axis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor, nn

from .nodes import activations, arithmetic, linear, norms, parts, pooling
from .nodes import shapes as moves
from .regroup import regroup
from .spread import Spread, merge

__all__ = ["RULES", "Reading", "Rule"]

Shape = tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """Inputs of a node that depend on the image, and the shapes around it at two sizes."""

    name: str
    """Name and operator of the node, for messages."""
    spreads: tuple[Spread, ...]
    inputs: tuple[tuple[Shape, Shape], ...]
    """Shapes of each input, for two sizes of the image."""
    output: tuple[Shape, Shape]
    """Shapes of what it gives."""
    moving: bool = False
    """Whether it reads sizes, computed from the image's, that are not the same for both."""
    sizes: tuple[int, ...] | None = None
    """Sizes that it reads, computed from the image's, where they are the same for both."""

    @property
    def first(self) -> Spread:
        """Dependence of the first input."""
        return self.spreads[0]

    def blend(self) -> Spread:
        """Return the dependence of what is computed place by place from all inputs."""
        pairs = [(s, shapes[0]) for s, shapes in zip(self.spreads, self.inputs, strict=True)]
        return merge(pairs, len(self.output[0]), self.name)


Rule = Callable[[Any, Reading], Spread]
"""Function from a node's module, and what it reads, to the dependence of what it gives."""


def _keep(_: nn.Module, reading: Reading) -> Spread:
    return reading.first


def _scale_channels(_: nn.Module, reading: Reading) -> Spread:
    return reading.first.lose_axis(1, reading.name)


def _blend(module: arithmetic.Elementwise, reading: Reading) -> Spread:
    if reading.moving:
        return reading.blend().lose(f"{reading.name}, whose number depends on the image's size")
    return _meet_constants(reading.blend(), module.operands(), reading)


def _concat(module: parts.Concat, reading: Reading) -> Spread:
    joined = reading.blend().lose_axis(module.axis, reading.name)
    return _meet_constants(joined, list(module.buffers()), reading)


def _meet_constants(spread: Spread, constants: Sequence[Tensor], reading: Reading) -> Spread:
    """Return a dependence after constants came in, which must be the same at every place."""
    for constant in constants:
        for axis, length in enumerate(constant.shape):
            place = axis + len(reading.output[0]) - constant.ndim
            if length > 1 and spread.axes is not None and spread.axes[place] is not None:
                return spread.lose(f"{reading.name}, whose constant differs from place to place")
    return spread


def _split(module: parts.Split, reading: Reading) -> Spread:
    return reading.first.lose_axis(module.axis, reading.name)


def _gather(module: parts.Gather, reading: Reading) -> Spread:
    spread = reading.first.lose_axis(module.axis, reading.name)
    if spread.axes is None:
        return spread
    axis = module.axis % len(spread.axes)
    new = (None,) * (len(reading.output[0]) - len(spread.axes) + 1)
    return replace(spread, axes=(*spread.axes[:axis], *new, *spread.axes[axis + 1 :]))


def _reshape(_: nn.Module, reading: Reading) -> Spread:
    result = regroup(reading.first, reading.inputs[0], reading.output)
    if result.axes is None and reading.first.axes is not None:
        return replace(result, why=reading.first.why or f"{reading.name}, {result.why}")
    return result


def _transpose(module: moves.Transpose, reading: Reading) -> Spread:
    spread = reading.first
    if spread.axes is None:
        return spread
    order = module.order or tuple(range(len(spread.axes) - 1, -1, -1))
    return replace(spread, axes=tuple(spread.axes[axis] for axis in order))


def _expand(_: moves.Expand, reading: Reading) -> Spread:
    spread, more = reading.first, len(reading.output[0]) - len(reading.inputs[0][0])
    return spread if spread.axes is None else replace(spread, axes=(None,) * more + spread.axes)


def _tile(module: moves.Tile, reading: Reading) -> Spread:
    spread = reading.first
    for axis, count in enumerate(module.repeats):
        spread = spread.lose_axis(axis, reading.name) if count != 1 else spread
    return spread


def _apply_linear(_: linear.Linear, reading: Reading) -> Spread:
    return _mix_last(reading.first, reading)


def _mix_last(spread: Spread, reading: Reading) -> Spread:
    spread = spread.lose_axis(-1, reading.name)
    return spread if spread.axes is None else replace(spread, axes=(*spread.axes[:-1], None))


def _apply_matmul(module: linear.MatMul, reading: Reading) -> Spread:
    constants = list(module.buffers())
    plain = constants and all(side == 1 for side in constants[0].shape[:-2])
    if plain and hasattr(module, "operand1"):
        return _mix_last(reading.first, reading)
    return reading.first.lose(f"{reading.name}, a product of what the image gives", axes=True)


def _apply_softmax(module: activations.Softmax, reading: Reading) -> Spread:
    return reading.first.lose_axis(module.axis, reading.name)


def _reduce(module: pooling.Reduce, reading: Reading) -> Spread:
    spread = reading.first
    if spread.axes is None:
        return spread
    rank = len(spread.axes)
    axes = {axis % rank for axis in (range(rank) if module.axes is None else module.axes)}
    for axis in axes:
        spread = spread.lose_axis(axis, reading.name)
    left = [(None if axis in axes else side) for axis, side in enumerate(spread.axes or ())]
    if not module.keep:
        left = [side for axis, side in enumerate(left) if axis not in axes]
    return replace(spread, axes=tuple(left))


def _apply_norm(
    module: norms.InstanceNorm | norms.GroupNorm | norms.LayerNorm | norms.RmsNorm, reading: Reading
) -> Spread:
    rank, spread = len(reading.output[0]), reading.first
    axes = rank - module.weight.ndim
    start = axes if isinstance(module, norms.LayerNorm | norms.RmsNorm) else 1
    for axis in range(start, rank):
        spread = spread.lose_axis(axis, reading.name)
    return spread


RULES: Mapping[type[nn.Module], Rule] = {
    activations.Activation: _keep,
    activations.PRelu: _scale_channels,
    activations.Relu: _keep,
    activations.Softmax: _apply_softmax,
    arithmetic.Clip: _keep,
    arithmetic.Elementwise: _blend,
    linear.Linear: _apply_linear,
    linear.MatMul: _apply_matmul,
    moves.Axes: _reshape,
    moves.Expand: _expand,
    moves.Flatten: _reshape,
    moves.Identity: _keep,
    moves.Reshape: _reshape,
    moves.Tile: _tile,
    moves.ToType: _keep,
    moves.Transpose: _transpose,
    norms.BatchNorm: _scale_channels,
    norms.GroupNorm: _apply_norm,
    norms.InstanceNorm: _apply_norm,
    norms.LayerNorm: _apply_norm,
    norms.RmsNorm: _apply_norm,
    parts.Concat: _concat,
    parts.Gather: _gather,
    parts.Split: _split,
    pooling.Reduce: _reduce,
}
"""Rules by the kinds of modules."""
