"""All stages → the one graph that takes an image and gives an image."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import helper

from tinysr.chain import Chain
from tinysr.stages import WHOLE

from .graph import OPSET, StageGraph

__all__ = ["compose_whole"]


def compose_whole(
    stages: Sequence[StageGraph], chain: Chain, *, tile: int, batch: int | None
) -> StageGraph:
    """Join the stages' graphs, for tiles of one size: each reads what the one before gives.

    Args:
        stages: the stages' graphs, in the chain's order, weights still inputs.
        chain: that they are of.
        tile: side of a tile in low-resolution pixels.
        batch: tiles at once; any number when None.
    """
    graphs = [stage.model.graph for stage in stages]
    weights = tuple(sorted({name for stage in stages for name in stage.weights}))
    size: int | str = "batch" if batch is None else batch
    weight_inputs = {
        value.name: value for graph in graphs for value in graph.input if value.name in weights
    }
    ends = zip(chain.ends(WHOLE), chain.sides(WHOLE, tile), strict=True)
    into, out = (
        helper.make_tensor_value_info(
            field.name, onnx.TensorProto.FLOAT, (size, field.channels, side, side)
        )
        for field, side in ends
    )
    graph = helper.make_graph(
        [node for graph in graphs for node in graph.node],
        WHOLE,
        [into, *(weight_inputs[name] for name in weights)],
        [out],
        [tensor for graph in graphs for tensor in graph.initializer],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", _opset(stages))],
        ir_version=stages[0].model.ir_version,
    )
    return StageGraph(stage=WHOLE, model=model, weights=weights)


def _opset(stages: Sequence[StageGraph]) -> int:
    """Return the stages' version; those that hold integers have a later one."""
    found: list[int] = [e.version for s in stages for e in s.model.opset_import if e.domain == ""]
    return max(OPSET, *found)
