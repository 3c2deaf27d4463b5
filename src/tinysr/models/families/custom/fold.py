"""Constants of a graph, computed as far as they go, and batch norms put into convolutions."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.func import functional_call

from tinysr.errors import UnsupportedError

from .nodes import OPERATORS, SIZE_OPERATORS, Call, compute_sizes, shape_sizes
from .nodes.base import to_tensor
from .read_onnx import OnnxNode

__all__ = ["Graph", "describe_call", "fold_batch_norms", "fold_constants", "keep_live"]

_MOST_VALUES = 2**28
"""Largest constant that is computed: more is a hostile file."""

_MOST_AXES = 16

_MOST_TOGETHER = 2**30
"""Values of all constants that are computed."""

_MOST_SMALL = 2**16
"""Largest array of integers that is computed value by value, exactly as sizes are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """Nodes that depend on the image, and all constants."""

    opset: int
    nodes: tuple[OnnxNode, ...]
    constants: dict[str, NDArray[Any]]


def describe_call(graph: Graph, node: OnnxNode) -> Call:
    """Return a node as operators are told of it."""
    return Call(
        name=node.name,
        operator=node.operator,
        opset=graph.opset,
        attributes=node.attributes,
        inputs=tuple(bool(name) for name in node.inputs),
        constants={
            place: graph.constants[name]
            for place, name in enumerate(node.inputs)
            if name in graph.constants
        },
        outputs=len(node.outputs),
    )


def keep_live(nodes: Sequence[OnnxNode], output: str) -> tuple[OnnxNode, ...]:
    """Return the nodes that an output depends on, in their order."""
    needed, kept = {output}, []
    for node in reversed(nodes):
        if needed.intersection(node.outputs):
            needed.update(node.inputs)
            kept.append(node)
    return tuple(reversed(kept))


def fold_constants(graph: Graph) -> Graph:
    """Compute all that does not depend on the image.

    Given: nodes whose inputs are all constant among the others.
    Result: the same function; their outputs are constants.

    Raises:
        UnsupportedError: a result would be huge, or can't be computed.
    """
    folded = Graph(opset=graph.opset, nodes=(), constants=dict(graph.constants))
    rest, values = [], 0
    for node in graph.nodes:
        known = [name for name in node.inputs if name in folded.constants]
        if len(known) < len([name for name in node.inputs if name]):
            rest.append(node)
            continue
        call = describe_call(folded, node)
        with call.guard():
            results = _compute(call)
        values += sum(one.size for one in results)
        if values > _MOST_TOGETHER:
            raise call.refuse(f"more than {_MOST_TOGETHER:,} values of constants until here")
        folded.constants.update(zip(node.outputs, results, strict=False))
    return replace(folded, nodes=tuple(rest))


def _compute(call: Call) -> list[NDArray[Any]]:
    if call.operator == "Constant":
        return [_read_constant(call)]
    arrays = [call.constants.get(place) for place in range(len(call.inputs))]
    there = [array for array in arrays if array is not None]
    small = all(a.dtype.kind in "iub" and a.size <= _MOST_SMALL for a in there)
    if call.operator == "Shape":
        return [_unpack(shape_sizes(call, there[0]))]
    if (small or call.operator not in OPERATORS) and call.operator in SIZE_OPERATORS:
        objects = [None if a is None else a.astype(object) for a in arrays]
        return [_unpack(one) for one in compute_sizes(call, objects, _MOST_SMALL)]
    return _compute_tensors(call)


def _read_constant(call: Call) -> NDArray[Any]:
    for name, kind in (
        *(("value", None), ("value_float", np.float32), ("value_floats", np.float32)),
        *(("value_int", np.int64), ("value_ints", np.int64)),
    ):
        if name in call.attributes:
            return np.asarray(call.attributes[name], dtype=kind)
    raise call.refuse("a constant that is neither numbers nor a tensor")


def _unpack(array: NDArray[Any]) -> NDArray[Any]:
    """Return sizes as numbers of one kind."""
    values = array.reshape(-1).tolist()
    kind: Any = np.float32
    if all(isinstance(value, bool | np.bool_) for value in values) and values:
        kind = np.bool_
    elif all(isinstance(value, int) for value in values):
        kind = np.int64
    return np.array(values, dtype=kind).reshape(array.shape)


def _compute_tensors(call: Call) -> list[NDArray[Any]]:
    """Compute with a node's module: shapes first, so that nothing huge is ever made."""
    first = to_tensor(call.constants[0])
    rest = {place: array for place, array in call.constants.items() if place}
    module = OPERATORS[call.operator].make(replace(call, constants=rest))
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    shapes = {name: tensor.to("meta") for name, tensor in tensors.items()}
    made = functional_call(module, shapes, (first.to("meta"),))
    made = made if isinstance(made, tuple) else (made,)
    if max(one.ndim for one in made) > _MOST_AXES:
        raise call.refuse(f"a constant of more than {_MOST_AXES} axes")
    if sum(math.prod(one.shape) for one in made) > _MOST_VALUES:
        raise call.refuse(f"a constant of more than {_MOST_VALUES:,} values")
    with torch.no_grad():
        values = module(first)
    made = values if isinstance(values, tuple) else (values,)
    return [one.contiguous().numpy() for one in made]


def fold_batch_norms(graph: Graph, output: str) -> Graph:
    """Put batch norms into the convolutions before them.

    Given: y = scale · (W x + b) + shift, where nobody else reads W x + b.
    Result: y = (scale W) x + (scale b + shift): a node fewer.
    """
    readers = Counter(name for node in graph.nodes for name in node.inputs)
    readers[output] += 1
    makers = {node.outputs[0]: node for node in graph.nodes if node.operator == "Conv"}
    constants = dict(graph.constants)
    changed: dict[str, OnnxNode] = {}
    dropped = set()
    for norm in graph.nodes:
        conv = makers.get(norm.inputs[0]) if norm.operator == "BatchNormalization" else None
        if conv is None or readers[conv.outputs[0]] != 1 or not _is_plain(norm, conv, constants):
            continue
        weight = constants[conv.inputs[1]].astype(np.float64)
        scale, shift, mean, variance = (
            constants[name].astype(np.float64) for name in norm.inputs[1:5]
        )
        gain = scale / np.sqrt(variance + norm.attributes.get("epsilon", 1e-5))
        bias = constants[conv.inputs[2]] if len(conv.inputs) > 2 and conv.inputs[2] else 0.0
        names = (conv.inputs[1], f"{conv.inputs[1]}/bias of {norm.name}")
        weight_name = f"{names[0]}/with {norm.name}"
        constants[weight_name] = (weight * gain.reshape(-1, 1, 1, 1)).astype(np.float32)
        constants[names[1]] = ((bias - mean) * gain + shift).astype(np.float32)
        changed[conv.outputs[0]] = replace(
            conv, inputs=(conv.inputs[0], weight_name, names[1]), outputs=norm.outputs
        )
        dropped.add(norm.outputs[0])
    nodes = [
        changed.get(node.outputs[0], node) for node in graph.nodes if node.outputs[0] not in dropped
    ]
    return Graph(opset=graph.opset, nodes=tuple(nodes), constants=constants)


def _is_plain(norm: OnnxNode, conv: OnnxNode, constants: Mapping[str, NDArray[Any]]) -> bool:
    """Tell whether weights and statistics are constants that fit each other."""
    needed = (*norm.inputs[1:5], *(name for name in conv.inputs[1:] if name))
    if len(norm.inputs) != 5 or len(norm.outputs) != 1 or norm.attributes.get("training_mode", 0):
        return False
    if any(name not in constants for name in needed):
        return False
    outputs = constants[conv.inputs[1]].shape[:1]
    vectors = [name for name in needed if name != conv.inputs[1]]
    return constants[conv.inputs[1]].ndim == 4 and all(
        constants[name].shape == outputs for name in vectors
    )


def join_reasons(errors: Iterable[UnsupportedError], most: int = 6) -> str:
    """Return what several errors say, in one line."""
    texts = [str(error) for error in errors]
    more = f"; and {len(texts) - most} more" if len(texts) > most else ""
    return "; ".join(texts[:most]) + more
