"""Operators on sizes: what a graph computes of the image's shape, in plain numbers.

Sizes are arrays of objects, so that while a model is traced, symbols take the numbers' place and
a graph for any size comes out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from .base import Call, Sizes, Value, read_integers

__all__ = ["SIZE_OPERATORS", "compute_sizes", "shape_sizes"]

MOST_SIZES = 2**10
"""Largest number of values in an array of sizes: they are computed one by one, at every run."""

_MOST_VALUES = 2**16
"""Largest array that is filled or expanded, before it is looked at."""

_WHOLE = (int, torch.SymInt)


def shape_sizes(call: Call, value: Value) -> Sizes:
    """Return the lengths of a value's axes, all or some of them."""
    lengths = list(value.shape)[call.attributes.get("start", 0) : call.attributes.get("end")]
    return _pack(lengths, (len(lengths),))


def compute_sizes(call: Call, values: list[Sizes | None], most: int = MOST_SIZES) -> list[Sizes]:
    """Compute a node whose inputs are all sizes.

    Args:
        call: the node.
        values: its inputs, None for those that are absent.
        most: largest number of values that it may give.

    Raises:
        UnsupportedError: the result is too large to be sizes.
    """
    result = SIZE_OPERATORS[call.operator](call, values)
    found = result if isinstance(result, list) else [result]
    if any(one.size > most for one in found):
        raise call.refuse(f"more than {most} values that are computed from sizes")
    return found


def _pack(values: list[Any], shape: tuple[int, ...]) -> Sizes:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape)


def _map(function: Callable[..., Any]) -> Callable[[Call, list[Any]], Sizes]:
    """Return an operator that computes each place by itself, of operands that broadcast."""

    def compute(call: Call, values: list[Any]) -> Sizes:
        arrays = np.broadcast_arrays(*(np.asarray(value, dtype=object) for value in values))
        rows = zip(*(array.reshape(-1) for array in arrays), strict=True)
        return _pack([function(*row) for row in rows], arrays[0].shape)

    return compute


def _divide(a: Any, b: Any) -> Any:
    return a // b if isinstance(a, _WHOLE) and isinstance(b, _WHOLE) else a / b


def _take_product(call: Call, values: list[Any]) -> Sizes:
    axes = call.attributes.get("axes")
    if len(values) > 1 and values[1] is not None:
        axes = read_integers(values[1])
    keep = bool(call.attributes.get("keepdims", 1))
    array = np.asarray(values[0], dtype=object)
    return np.asarray(np.prod(array, axis=None if axes is None else tuple(axes), keepdims=keep))


def _cast(call: Call, values: list[Any]) -> Sizes:
    number = call.attributes.get("to")
    if number in (6, 7):
        return _map(lambda x: x if isinstance(x, _WHOLE) else math.trunc(x))(call, values)
    if number == 9:
        return _map(bool)(call, values)
    return _map(lambda x: x * 1.0)(call, values)


def _slice(call: Call, values: list[Any]) -> Sizes:
    array = values[0]
    starts, ends = read_integers(values[1]), read_integers(values[2])
    optional = [values[place] if place < len(values) else None for place in (3, 4)]
    axes = range(len(starts)) if optional[0] is None else read_integers(optional[0])
    steps = (1,) * len(starts) if optional[1] is None else read_integers(optional[1])
    cuts = [slice(None)] * array.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        # The last place before the first one has no number of its own in Python.
        last = None if step < 0 and end < -array.shape[axis] else end
        cuts[axis] = slice(start, last, step)
    result: Sizes = array[tuple(cuts)]
    return result


def _fill(call: Call, values: list[Any]) -> Sizes:
    shape = read_integers(values[0])
    if math.prod(shape) > _MOST_VALUES or min(shape, default=0) < 0:
        raise call.refuse(f"a shape {list(shape)!r:.80}, larger than sizes are")
    value = call.attributes.get("value")
    return np.full(shape, 0.0 if value is None else value.reshape(-1)[0].item(), dtype=object)


def _change_axes(call: Call, values: list[Any]) -> Sizes:
    axes = call.attributes.get("axes")
    if len(values) > 1 and values[1] is not None:
        axes = read_integers(values[1])
    array = values[0]
    if call.operator == "Squeeze":
        squeezed: Sizes = np.squeeze(array, None if axes is None else tuple(axes))
        return squeezed
    return np.expand_dims(array, tuple(axes or ()))


def _reshape(_: Call, values: list[Any]) -> Sizes:
    array: Sizes = values[0]
    return array.reshape(read_integers(values[1]))


def _expand(call: Call, values: list[Any]) -> Sizes:
    shape = read_integers(values[1])
    if math.prod(shape) > _MOST_VALUES or min(shape, default=1) < 0:
        raise call.refuse(f"a shape {list(shape)!r:.80}, larger than sizes are")
    return np.broadcast_to(values[0], np.broadcast_shapes(values[0].shape, shape))


def _gather(call: Call, values: list[Any]) -> Sizes:
    places = np.asarray(values[1], dtype=np.int64)
    return np.asarray(np.take(values[0], places, axis=call.attributes.get("axis", 0)), dtype=object)


def _concat(call: Call, values: list[Any]) -> Sizes:
    return np.concatenate(
        [np.asarray(value, dtype=object) for value in values], call.attributes.get("axis", 0)
    )


def _transpose(call: Call, values: list[Any]) -> Sizes:
    return np.transpose(values[0], call.attributes.get("perm"))


def _choose(condition: Any, a: Any, b: Any) -> Any:
    return a if bool(condition) else b


SIZE_OPERATORS: Mapping[str, Callable[[Call, list[Any]], Sizes | list[Sizes]]] = {
    "Abs": _map(abs),
    "Add": _map(lambda a, b: a + b),
    "Cast": _cast,
    "Ceil": _map(math.ceil),
    "Concat": _concat,
    "ConstantOfShape": _fill,
    "Div": _map(_divide),
    "Equal": _map(lambda a, b: a == b),
    "Expand": _expand,
    "Floor": _map(math.floor),
    "Gather": _gather,
    "Greater": _map(lambda a, b: a > b),
    "Identity": lambda _, values: values[0],
    "Less": _map(lambda a, b: a < b),
    "Max": _map(max),
    "Min": _map(min),
    "Mod": _map(lambda a, b: a % b),
    "Mul": _map(lambda a, b: a * b),
    "Neg": _map(lambda a: -a),
    "ReduceProd": _take_product,
    "Reciprocal": _map(lambda a: 1.0 / a),
    "Reshape": _reshape,
    "Slice": _slice,
    "Sqrt": _map(lambda a: a**0.5),
    "Squeeze": _change_axes,
    "Sub": _map(lambda a, b: a - b),
    "Transpose": _transpose,
    "Unsqueeze": _change_axes,
    "Where": _map(_choose),
}
"""Operators on sizes, by their names in ONNX."""
