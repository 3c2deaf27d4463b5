"""A stage's graph → a graph with Q/DQ pairs: integers in place of weights, rounded inputs.

Weights never enter the graph: its proto ends at 2 GB, and holds structure alone. Scales are in the
layer's type, and symmetric, because TensorRT takes no zero points but 0; a bias is added in its own
type, because in int32 TensorRT refuses it. Sums and norms go on in the type of their module.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor

from tinysr.errors import UnsupportedError

from ..model.integers import INT8_MAX, quantize_int8
from .graph import StageGraph

__all__ = ["int8_graph"]

_OUTPUT_AXES = {"Conv": 0, "MatMul": 1}
"""Operations that are quantized, and the axis of the outputs in their weights."""

_WEIGHT = ".weight"
_INPUT = ".input"


def int8_graph(
    graph: StageGraph, tensors: Mapping[str, Tensor], ranges: Mapping[str, float]
) -> tuple[StageGraph, dict[str, NDArray[Any]]]:
    """Quantize weights and inputs of layers to symmetric int8.

    Given: a graph whose weights are inputs, in fp32 or fp16.
    Result: Q/DQ on the input of every layer with a range, one scale per output in its weight. The
    integers and scales are inputs in the weights' place; what else the graph reads stays as it is.

    Args:
        graph: a stage, simplified.
        tensors: the baked model's state.
        ranges: largest inputs by the layer's path; those of other stages are left out.

    Returns:
        The graph, and the new tensors that it reads.

    Raises:
        UnsupportedError: a layer's weight is read by an operation that can't be quantized.
    """
    own = {path: r for path, r in ranges.items() if f"{path}{_WEIGHT}" in graph.weights}
    if not own:
        return graph, {}
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    axes = _find_axes(model, own)
    arrays: dict[str, NDArray[Any]] = {}
    new = []
    for path in sorted(own):
        held = _quantize_weight(path, tensors[f"{path}{_WEIGHT}"], axes[path])
        new.append(_dequantize(f"{path}{_WEIGHT}", list(held), axes[path]))
        arrays |= held
    new += _round_inputs(model, own, {path: tensors[f"{path}{_WEIGHT}"] for path in own})
    gone = {f"{path}{_WEIGHT}" for path in own}
    inputs = [value for value in model.graph.input if value.name not in gone]
    del model.graph.node[:], model.graph.input[:]
    model.graph.node.extend(new)
    model.graph.input.extend([*inputs, *(_describe(name, a) for name, a in arrays.items())])
    weights = tuple(sorted({*graph.weights, *arrays} - gone))
    return StageGraph(stage=graph.stage, model=model, weights=weights), arrays


def _find_axes(model: onnx.ModelProto, ranges: Mapping[str, float]) -> dict[str, int]:
    """Return the axis of the outputs in each layer's weight.

    Raises:
        UnsupportedError: another operation reads it.
    """
    axes: dict[str, int] = {}
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            path = name.removesuffix(_WEIGHT)
            if path == name or path not in ranges:
                continue
            if place != 1 or node.op_type not in _OUTPUT_AXES:
                raise UnsupportedError(
                    f"'{path}': expected {' or '.join(_OUTPUT_AXES)} to read the weight of a layer "
                    f"in int8, found {node.op_type}: keep the layer in fp16 in the plan"
                )
            axes[path] = _OUTPUT_AXES[node.op_type]
    return axes


def _quantize_weight(path: str, weight: Tensor, axis: int) -> dict[str, NDArray[Any]]:
    """Return a weight's integers, its scales in its type, and zeros, as DequantizeLinear reads."""
    found = quantize_int8(weight.detach().float(), axis)
    integers = found.integers.numpy()
    return {
        f"{path}{_WEIGHT}_quantized": integers,
        f"{path}{_WEIGHT}_scale": found.scales.numpy().astype(weight.numpy().dtype),
        f"{path}{_WEIGHT}_zero_point": np.zeros(integers.shape[axis], np.int8),
    }


def _round_inputs(
    model: onnx.ModelProto, ranges: Mapping[str, float], weights: Mapping[str, Tensor]
) -> list[onnx.NodeProto]:
    """Return the graph's nodes, each layer's between those that round its input and give it back.

    A layer's input is rounded for it alone: other readers must not see it so.
    """
    nodes: list[onnx.NodeProto] = []
    calls: Counter[str] = Counter()
    for node in model.graph.node:
        path = node.input[1].removesuffix(_WEIGHT) if len(node.input) > 1 else ""
        if node.op_type in _OUTPUT_AXES and path in ranges:
            calls[path] += 1
            name = f"{path}{_INPUT}" + (f"{calls[path]}" if calls[path] > 1 else "")
            kind = weights[path].numpy().dtype
            limits = [f"{name}_scale", f"{name}_zero_point"]
            model.graph.initializer.extend(
                [
                    numpy_helper.from_array(_scale_input(ranges[path], kind), limits[0]),
                    numpy_helper.from_array(np.array(0, np.int8), limits[1]),
                ]
            )
            quantized = f"{name}_QuantizeLinear_Output"
            nodes += [
                helper.make_node(
                    "QuantizeLinear",
                    [node.input[0], *limits],
                    [quantized],
                    f"{name}_QuantizeLinear",
                ),
                _dequantize(name, [quantized, *limits], None),
            ]
            node.input[0] = f"{name}_DequantizeLinear_Output"
            node.input[1] = f"{path}{_WEIGHT}_DequantizeLinear_Output"
            node.name = path
        nodes.append(node)
    return nodes


def _scale_input(largest: float, kind: np.dtype[Any]) -> NDArray[Any]:
    """Return the scale of values up to a size, as a type holds it: never less than it can."""
    exact = np.float64(kind.type(largest)) / INT8_MAX
    return np.array(max(exact, np.finfo(kind).tiny), kind)


def _dequantize(name: str, reads: list[str], axis: int | None) -> onnx.NodeProto:
    title = f"{name}_DequantizeLinear"
    node = helper.make_node("DequantizeLinear", reads, [f"{title}_Output"], title)
    if axis is not None:
        node.attribute.append(helper.make_attribute("axis", axis))
    return node


def _describe(name: str, array: NDArray[Any]) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, kind, array.shape)
