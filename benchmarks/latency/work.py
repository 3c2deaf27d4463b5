"""Operations and bytes of a stage, counted from its ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

from tinysr.errors import BundleError, require
from tinysr.records import StrictRecord
from tinysr.runtime import Bundle
from tinysr.stages import StageName

from ..peaks import Peaks

__all__ = ["Limit", "StageWork", "count_moved_bytes", "count_work", "find_limit"]

_WIDTHS = {"fp32": 4, "bf16": 2, "int8": 1}
"""Bytes of a weight and of a value between operations, by the type that they are computed in; the
least that it may be."""


class StageWork(StrictRecord):
    """Operations and bytes of a stage for one tile or image."""

    operations: float
    """Number of operations of matrix products and convolutions; a multiply-accumulate counts as
    two."""
    weights: int
    """Values that are constant."""
    ports: int
    """Values that come in and go out."""
    between: int
    """Values that operations read and write when each runs alone, weights not included."""


class Limit(StrictRecord):
    """The shortest time that a machine could take for a stage, in milliseconds."""

    compute: float
    """All operations at the peak of the type."""
    memory: float
    """Weights, input and output moved once."""
    unfused: float
    """Memory, if every operation alone reads its inputs from memory and writes its outputs."""

    @property
    def least(self) -> float:
        """Least time of the stage, in seconds: the longer one of computing and moving."""
        return max(self.compute, self.memory)

    @property
    def bound(self) -> str:
        """Side that bounds the stage."""
        return "compute" if self.compute >= self.memory else "memory"


def count_work(bundle: Bundle, stage: StageName, side: int) -> StageWork:
    """Count a stage's fp32 graph for one input of a low-resolution image of ``side``² pixels.

    Raises:
        BundleError: the bundle has no such graph, or it can't be read.
        MissingBackendError: onnx is not installed.
    """
    onnx: Any = require("onnx", extra="bench")
    artifact = bundle.artifact("onnx", stage, "fp32")
    model = onnx.load(bundle.path(artifact), load_external_data=False)
    _fix_sizes(model, bundle.manifest.chain.sides(stage, side)[0])
    try:
        graph = onnx.shape_inference.infer_shapes(model, data_prop=True, strict_mode=True).graph
    except onnx.shape_inference.InferenceError as error:
        raise BundleError(f"{artifact.label}: its shapes can't be inferred ({error})") from error
    shapes = _shapes(graph)
    weights = {tensor.name: prod(tensor.dims) for tensor in graph.initializer}
    return StageWork(
        operations=sum(_operations(node, shapes) for node in graph.node),
        weights=sum(weights.values()),
        ports=sum(prod(shapes[value.name]) for value in (*graph.input, *graph.output)),
        between=sum(
            prod(shapes[name])
            for node in graph.node
            for name in (*node.input, *node.output)
            if name and name not in weights
        ),
    )


def count_moved_bytes(work: StageWork, precision: str) -> int:
    """Return the bytes that a stage has to move at least: weights, input and output once."""
    # Images and latents are fp32 at every border, whatever is inside.
    return work.weights * _WIDTHS[precision] + work.ports * 4


def find_limit(work: StageWork, precision: str, peaks: Peaks) -> Limit | None:
    """Return how fast a machine could be at most; None where its peaks were not measured."""
    speed, width = peaks.operations(precision), _WIDTHS[precision]
    if speed is None or peaks.gbps is None:
        return None
    bandwidth = peaks.gbps * 1e9
    return Limit(
        compute=work.operations / speed * 1e3,
        memory=count_moved_bytes(work, precision) / bandwidth * 1e3,
        unfused=(work.weights + work.between) * width / bandwidth * 1e3,
    )


def _fix_sizes(model: Any, sides: int) -> None:
    """Give every size that may vary the value it has for one image."""
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        for place, dim in enumerate(dims):
            if not dim.HasField("dim_value"):
                dim.dim_value = 1 if place == 0 else sides
    for value in (*model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_param"):
                dim.Clear()


def _shapes(graph: Any) -> dict[str, tuple[int, ...]]:
    values = (*graph.input, *graph.value_info, *graph.output)
    shapes = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in values
    }
    return shapes | {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}


def _operations(node: Any, shapes: Mapping[str, Sequence[int]]) -> float:
    """Return two for each multiply-accumulate of a node; 0 for what multiplies no matrices."""
    if node.op_type in ("MatMul", "Gemm"):
        return 2.0 * prod(shapes[node.output[0]]) * shapes[node.input[0]][-1]
    if node.op_type == "Conv":  # the weight is [O, I / groups, kH, kW]
        return 2.0 * prod(shapes[node.output[0]]) * prod(shapes[node.input[1]][1:])
    if node.op_type == "ConvTranspose":  # the weight is [I, O / groups, kH, kW]
        return 2.0 * prod(shapes[node.input[0]]) * prod(shapes[node.input[1]][1:])
    return 0.0
