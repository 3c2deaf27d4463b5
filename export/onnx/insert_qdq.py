"""A stage's graph → a graph with Q/DQ pairs, by onnxruntime's tools, in our ranges.

The weights' integers and scales are ours: those tools make 1 of a scale that is small for fp16,
and so nothing but zeros of an output's weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor

from tinysr.errors import require

from ..model.integers import quantize_int8
from .graph import StageGraph

__all__ = ["int8_graph"]

_OPS = ("Conv", "MatMul")

_INPUT = ".input"
"""Suffix of a layer's path that names its input, quantized for it alone."""

_OPTIONS: dict[str, Any] = {
    # TensorRT takes no zero points.
    "ActivationSymmetric": True,
    "WeightSymmetric": True,
    # The scale of a MatMul's weight [inputs, outputs] is one per output too.
    "QDQOpTypePerChannelSupportToAxis": {"MatMul": 1},
    # Sums and norms go on in the type of their module.
    "OpTypesToExcludeOutputQuantization": list(_OPS),
    # A bias is added in its own type; in int32, TensorRT refuses it.
    "QuantizeBias": False,
}


def int8_graph(
    graph: StageGraph, tensors: Mapping[str, Tensor], ranges: Mapping[str, float]
) -> tuple[StageGraph, dict[str, NDArray[Any]]]:
    """Quantize weights and inputs of layers to symmetric int8.

    Given: a graph whose weights are inputs, in fp32 or fp16; scales are in the layer's type.
    Result: Q/DQ on the input of every layer with a range, one scale per output in its weight.

    Args:
        graph: a stage, simplified.
        tensors: the baked model's state.
        ranges: largest inputs by the layer's path; those of other stages are left out.

    Returns:
        The graph, and the tensors that it reads.
    """
    own = {path: r for path, r in ranges.items() if f"{path}.weight" in graph.weights}
    model, state = _add_weights(graph, tensors)
    types = {path: tensors[f"{path}.weight"].numpy().dtype for path in own}
    sources = _separate_inputs(model, types)
    found = _quantize(model, own, types) if own else model
    _join_inputs(found, sources)
    _rescale(found, tensors, types)
    names = _find_large(found, state)
    weights = {i.name: numpy_helper.to_array(i) for i in found.graph.initializer if i.name in names}
    kept = [i for i in found.graph.initializer if i.name not in names]
    del found.graph.initializer[:]
    found.graph.initializer.extend(kept)
    found.graph.input.extend(
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in weights.items()
    )
    found.graph.ClearField("value_info")
    result = StageGraph(stage=graph.stage, model=found, weights=tuple(sorted(weights)))
    return result, weights


def _add_weights(
    graph: StageGraph, tensors: Mapping[str, Tensor]
) -> tuple[onnx.ModelProto, set[str]]:
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    names = set(graph.weights)
    inputs = [value for value in model.graph.input if value.name not in names]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.graph.initializer.extend(
        numpy_helper.from_array(tensors[name].detach().contiguous().numpy(), name)
        for name in graph.weights
    )
    return model, names


def _separate_inputs(model: onnx.ModelProto, types: Mapping[str, np.dtype[Any]]) -> dict[str, str]:
    """Give every layer a name of its own for its input: other readers must not see it rounded."""
    sources: dict[str, str] = {}
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for node in nodes:
        path = _layer(node)
        if path in types:
            name = f"{path}{_INPUT}"
            sources[name] = node.input[0]
            model.graph.node.append(helper.make_node("Identity", [node.input[0]], [name], name))
            kind = helper.np_dtype_to_tensor_dtype(types[path])
            model.graph.value_info.append(helper.make_tensor_value_info(name, kind, None))
            node.input[0] = name
            node.name = path
        model.graph.node.append(node)
    return sources


def _layer(node: onnx.NodeProto) -> str:
    reads = node.op_type in _OPS and node.input[1].endswith(".weight")
    return node.input[1].removesuffix(".weight") if reads else ""


def _quantize(
    model: onnx.ModelProto, ranges: Mapping[str, float], types: Mapping[str, np.dtype[Any]]
) -> onnx.ModelProto:
    ort: Any = require("onnxruntime.quantization", extra="export")
    ranged: Any = require("onnxruntime.quantization.calibrate", extra="export")
    qdq: Any = require("onnxruntime.quantization.qdq_quantizer", extra="export")
    data = {
        f"{path}{_INPUT}": ranged.TensorData(
            lowest=np.array(-r, types[path]), highest=np.array(r, types[path])
        )
        for path, r in ranges.items()
    }
    quantizer = qdq.QDQQuantizer(
        model,
        True,
        False,
        ort.QuantType.QInt8,
        ort.QuantType.QInt8,
        ranged.TensorsData(ort.CalibrationMethod.MinMax, data),
        list(ranges),
        [],
        list(_OPS),
        _OPTIONS,
    )
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    found: onnx.ModelProto = quantizer.model.model
    return found


def _join_inputs(model: onnx.ModelProto, sources: Mapping[str, str]) -> None:
    """Take out the nodes that :func:`_separate_inputs` put in."""
    nodes = [n for n in model.graph.node if not (n.op_type == "Identity" and n.name in sources)]
    for node in nodes:
        for index, name in enumerate(node.input):
            if name in sources:
                node.input[index] = sources[name]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _rescale(
    model: onnx.ModelProto, tensors: Mapping[str, Tensor], types: Mapping[str, np.dtype[Any]]
) -> None:
    """Put our integers and scales in the place of the tools'."""
    held = {initializer.name: initializer for initializer in model.graph.initializer}
    for path, kind in types.items():
        weight = tensors[f"{path}.weight"].detach().float()
        outputs = 0 if weight.ndim == 4 else 1  # a convolution's, a MatMul's
        ours = quantize_int8(weight, outputs)
        for end, array in (
            ("quantized", ours.integers.numpy()),
            ("scale", ours.scales.numpy().astype(kind)),
        ):
            name = f"{path}.weight_{end}"
            held[name].CopyFrom(numpy_helper.from_array(array, name))


def _find_large(model: onnx.ModelProto, state: set[str]) -> set[str]:
    """Return the tensors that go into the file of weights: the state's, and what became of it."""
    return {
        i.name
        for i in model.graph.initializer
        if i.name in state or i.name.split(".weight_")[0] + ".weight" in state
    }
