"""A stage's graph → the same graph, reading its weights from integers and scales."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper

from ..model.integers import QuantizedWeight
from .graph import StageGraph

__all__ = ["WEIGHT_ONLY_OPSET", "integer_name", "scale_name", "weight_only_graph"]

WEIGHT_ONLY_OPSET = 21
"""The first whose DequantizeLinear knows blocks and 4 bits."""

_SUFFIX = ".weight"


def integer_name(path: str) -> str:
    """Return the name of a layer's weights as integers."""
    return f"{path}{_SUFFIX}.integers"


def scale_name(path: str) -> str:
    """Return the name of the scales of a layer's weights."""
    return f"{path}{_SUFFIX}.scales"


def weight_only_graph(graph: StageGraph, weights: Mapping[str, QuantizedWeight]) -> StageGraph:
    """Put a DequantizeLinear before every layer whose weight is quantized.

    Given: a graph whose weights are inputs.
    Result: the same values, but for what rounding the weights changes. The new integers and
    scales are inputs in the weights' place.

    Args:
        graph: a stage, simplified.
        weights: by the layer's path; those of other stages are left out.
    """
    own = {path: w for path, w in weights.items() if f"{path}{_SUFFIX}" in graph.weights}
    if not own:
        return graph
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    gone = {f"{path}{_SUFFIX}" for path in own}
    inputs = [value for value in model.graph.input if value.name not in gone]
    nodes = list(model.graph.node)
    new = []
    for path, weight in own.items():
        integers, scales = weight.arrays()
        inputs += [_input(integer_name(path), integers), _input(scale_name(path), scales)]
        node = helper.make_node(
            "DequantizeLinear",
            [integer_name(path), scale_name(path)],
            [f"{path}{_SUFFIX}"],
            f"{path}{_SUFFIX}",
            axis=weight.axis,
        )
        if weight.block:
            node.attribute.append(helper.make_attribute("block_size", weight.block))
        new.append(node)
    del model.graph.input[:], model.graph.node[:]
    model.graph.input.extend(inputs)
    model.graph.node.extend([*new, *nodes])
    _raise_opset(model)
    names = {name for path in own for name in (integer_name(path), scale_name(path))}
    return StageGraph(
        stage=graph.stage,
        model=model,
        weights=tuple(sorted({*graph.weights, *names} - gone)),
    )


def _input(name: str, array: np.ndarray) -> onnx.ValueInfoProto:
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, kind, array.shape)


def _raise_opset(model: onnx.ModelProto) -> None:
    """Raise the version: 21 changed, of the operations used here, only which types they take."""
    for entry in model.opset_import:
        if entry.domain == "":
            entry.version = max(entry.version, WEIGHT_ONLY_OPSET)
