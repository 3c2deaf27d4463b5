"""A quantization plan put into effect: simplified graphs → graphs that hold integers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from numpy.typing import NDArray
from torch import Tensor, nn

from tinysr.errors import UnsupportedError

from ..model.integers import find_layers, quantize_layer
from ..plans.quantization import QuantizationPlan
from .graph import StageGraph
from .insert_qdq import int8_graph
from .weight_only import integer_name, scale_name, weight_only_graph

__all__ = ["quantize_graphs"]


def quantize_graphs(
    graphs: Sequence[StageGraph], baked: nn.Module, plan: QuantizationPlan
) -> tuple[list[StageGraph], dict[str, Tensor | NDArray[Any]]]:
    """Return the stages' graphs in the plan's formats, and the tensors that they read.

    Args:
        graphs: the stages in fp32, simplified, weights still inputs.
        baked: what they were made from, in fp32 and equalised as the plan says.
        plan: of this model.

    Raises:
        CalibrationError: the plan names layers that the model does not have.
        UnsupportedError: no graph reads a layer's weight as it is, or an operation does that
            can't be quantized.
    """
    found = find_layers(baked)
    formats = plan.formats(found)
    _refuse_unread(formats, graphs)
    state = baked.state_dict()
    ranges = {path: plan.ranges[path] for path, form in formats.items() if form == "int8"}
    weights = {
        path: quantize_layer(found[path], form) for path, form in formats.items() if form != "int8"
    }
    tensors: dict[str, Tensor | NDArray[Any]] = dict(state)
    for path, weight in weights.items():
        tensors[integer_name(path)], tensors[scale_name(path)] = weight.arrays()
    result = []
    for graph in graphs:
        if ranges:
            graph, own = int8_graph(graph, state, ranges)  # noqa: PLW2901
            tensors |= own
        result.append(weight_only_graph(graph, weights))
    used = {name for graph in result for name in graph.weights}
    return result, {name: tensors[name] for name in tensors if name in used}


def _refuse_unread(layers: Iterable[str], graphs: Sequence[StageGraph]) -> None:
    """Raise UnsupportedError for a layer whose weight went into a constant of the exporter's."""
    read = {name for graph in graphs for name in graph.weights}
    for path in layers:
        if f"{path}.weight" not in read:
            raise UnsupportedError(
                f"'{path}': expected its weight among the graphs' inputs, found it changed into a "
                "constant: lay a linear out as MatMulLinear, or keep the layer in the plan"
            )
