"""Three stages → the one graph that takes an image and gives an image."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import helper

from .graph import OPSET, StageGraph, stage_input, stage_output

__all__ = ["upscale_graph"]

_HR_LATENTS = "hr_latents"


def upscale_graph(stages: Sequence[StageGraph], *, tile: int, batch: int | None) -> StageGraph:
    """Join encoder, transformer and decoder: z_HR = z - v (σ = 1), for tiles of one size.

    Args:
        stages: the three stages' graphs, in this order, weights still inputs.
        tile: side of a tile in low-resolution pixels.
        batch: tiles at once; any number when None.
    """
    encoder, transformer, decoder = (stage.model.graph for stage in stages)
    step = helper.make_node(
        "Sub",
        [stage_output("encoder"), stage_output("transformer")],
        [_HR_LATENTS],
        name="upscale/step",
    )
    tail = [_redirect(node, stage_input("decoder"), _HR_LATENTS) for node in decoder.node]
    weights = tuple(sorted({name for stage in stages for name in stage.weights}))
    size: int | str = "batch" if batch is None else batch
    weight_inputs = {
        value.name: value
        for graph in (encoder, transformer, decoder)
        for value in graph.input
        if value.name in weights
    }
    graph = helper.make_graph(
        [*encoder.node, *transformer.node, step, *tail],
        "upscale",
        [
            _image(stage_input("upscale"), (size, 3, tile, tile)),
            *(weight_inputs[name] for name in weights),
        ],
        [_image(stage_output("upscale"), (size, 3, 4 * tile, 4 * tile))],
        [*encoder.initializer, *transformer.initializer, *decoder.initializer],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", _opset(stages))],
        ir_version=stages[0].model.ir_version,
    )
    return StageGraph(stage="upscale", model=model, weights=weights)


def _opset(stages: Sequence[StageGraph]) -> int:
    """Return the stages' version; those that hold integers have a later one."""
    found: list[int] = [e.version for s in stages for e in s.model.opset_import if e.domain == ""]
    return max(OPSET, *found)


def _image(name: str, shape: tuple[int | str, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)


def _redirect(node: onnx.NodeProto, old: str, new: str) -> onnx.NodeProto:
    """Return a copy of the node that reads ``new`` where it read ``old``."""
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    for index, name in enumerate(copy.input):
        if name == old:
            copy.input[index] = new
    return copy
