"""Norms and attention in Core AI, with bodies that lose nothing.

A composite operation has a name, by which Apple's processors compute it as they can, and a body,
which the reference interpreter computes. The interpreter adds up products of fp16 in fp16, and
takes means of fp32 one value after the other. Where an image is flat, terms are alike and so are
their errors: a sum over a thousand tokens is off by some percent, and a norm divides by a deviation
that is smaller than the error of its mean. These bodies compute in fp32, and centre twice.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tinysr.errors import UnsupportedError

__all__ = ["register_composites"]

Values = Mapping[str, Any]
"""Values of a program's nodes, by the nodes' names."""


def register_composites(converter: Any) -> None:
    """Let a converter write norms over planes and attention by the functions of this file."""
    for name, lower in (
        ("aten::instance_norm.default", _lower_instance_norm),
        ("aten::native_group_norm.default", _lower_group_norm),
        ("aten::scaled_dot_product_attention.default", _lower_attention),
    ):
        converter.register_torch_lowering(name, allow_override=True)(lower)


def _lower_group_norm(values: Values, node: Any, _: Any) -> Any:
    """Write ``native_group_norm``: x, weight, bias, images, channels, places, groups, epsilon."""
    channels, _, groups, epsilon = node.args[4:8]
    options = {"num_groups": groups, "num_channels": channels, "eps": epsilon}
    inputs = _find_inputs(values, node)
    return _write_norm("group_norm", ["input", "weight", "bias"], inputs, options, groups)


def _lower_instance_norm(values: Values, node: Any, _: Any) -> Any:
    """Write ``instance_norm``: x, weight, bias, mean, variance, whether it measures them itself.

    Raises:
        UnsupportedError: its statistics are stored.
    """
    if not node.args[5]:
        raise UnsupportedError(
            "coreai: expected an instance norm by the image's own statistics, found stored ones: "
            "make it a batch norm"
        )
    inputs = _find_inputs(values, node)
    options = {"eps": node.args[7]}
    groups = inputs[0].type.shape[1]
    return _write_norm("instance_norm", ["input", "gamma", "beta"], inputs, options, groups)


def _lower_attention(values: Values, node: Any, _: Any) -> Any:
    """Write ``scaled_dot_product_attention`` of q, k and v, as ``join_attention`` makes it.

    Raises:
        UnsupportedError: it has a mask, or no scale of its own.
    """
    scale = node.kwargs.get("scale")
    if len(node.args) != 3 or scale is None or len(node.kwargs) != 1:
        raise UnsupportedError("coreai: expected attention with a scale and without a mask")
    ops, inputs = _dialect(), [values[part.name] for part in node.args]
    rank, half = inputs[0].type.rank, inputs[0].type.element_type
    if rank == 3:  # the operation wants heads
        inputs = [ops.expand_dims(x, [1]) for x in inputs]

    def compute(query: Any, key: Any, value: Any) -> Any:
        q, k, v = (ops.cast(x, np.float32) for x in (query, key, value))
        turned = ops.transpose(k, np.array([0, 1, 3, 2], np.uint32))
        scores = ops.broadcasting_batch_matmul(ops.broadcasting_mul(q, np.float32(scale)), turned)
        return ops.cast(ops.broadcasting_batch_matmul(ops.softmax(scores, 3), v), half)

    options = {"is_causal": False, "window_size": 0, "scale": scale}
    names = ["query", "key", "value"]
    result = _write("scaled_dot_product_attention", names, inputs, options, compute)
    return ops.shrink_dims(result, [1]) if rank == 3 else result


def _write_norm(
    name: str, names: list[str], inputs: list[Any], options: dict[str, Any], groups: int
) -> Any:
    """Write a norm over groups of channels, whose weight and bias are one for each channel."""
    ops = _dialect()
    x = inputs[0]
    channels, kind, epsilon = x.type.shape[1], x.type.element_type, np.float32(options["eps"])
    rank = x.type.rank
    affine = [channels, *[1] * (rank - 2)]

    def average(x: Any) -> Any:
        for axis in range(rank, 1, -1):  # few values at a time
            x = ops.reduce_mean(x, np.array([axis], np.int32))
        return x

    def compute(x: Any, weight: Any, bias: Any) -> Any:
        shape = ops.get_shape(x)
        images, sides = (
            ops.slice_(ops.cast(shape, np.int32), [first], [end], [1])
            for first, end in ((0, 1), (2, rank))
        )
        grouped = ops.concat(0, [images, [groups, channels // groups], sides])
        y = ops.reshape(ops.cast(x, np.float32), grouped)
        for _ in range(2):  # what the first mean lost is all that the second finds
            y = ops.broadcasting_sub(y, average(y))
        variance = average(ops.broadcasting_mul(y, y))
        y = ops.broadcasting_mul(y, ops.rsqrt(ops.broadcasting_add(variance, epsilon)))
        y = ops.broadcasting_mul(ops.cast(ops.reshape(y, shape), kind), ops.reshape(weight, affine))
        return ops.broadcasting_add(y, ops.reshape(bias, affine))

    parts = [
        ops.constant([float(fill)] * channels, dtype=kind) if part is None else ops.cast(part, kind)
        for fill, part in ((1, inputs[1]), (0, inputs[2]))
    ]
    return _write(name, names, [x, *parts], options, compute)


def _write(
    name: str,
    names: list[str],
    inputs: list[Any],
    options: dict[str, Any],
    compute: Callable[..., Any],
) -> Any:
    """Write a call of a composite operation, which gets a graph of its own."""
    declare = importlib.import_module("coreai_torch").generate_composite_decl
    declaration = declare(inputs[0].context, name, names, ["output"], options)
    graph = _dialect().graph(private=True, no_inline=True, composite_decl=declaration)(compute)
    return graph(*inputs)[0]


def _find_inputs(values: Values, node: Any) -> list[Any]:
    """Return a norm's x, weight and bias; None for what it has not."""
    return [None if part is None else values[part.name] for part in node.args[:3]]


def _dialect() -> Any:
    """Return the functions that write Core AI's operations."""
    return importlib.import_module("coreai._compiler.dialects.coreai")
