"""Norms over places, made exact: their input is centred before they centre it.

Runtimes add up a plane's values in fp32 one after the other, and lose in the mean what a flat
image is made of: the norm then divides by a deviation that is smaller than that error. What is left
of a mean that was subtracted is small, and so is the error of subtracting it again.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

__all__ = ["centre_norms"]

_NORM = "InstanceNormalization"
_PLANES = 4
"""Dimensions of an input that is not reshaped before: images, channels, height and width."""


def centre_norms(model: onnx.ModelProto, stage: str) -> None:
    """Subtract the mean of each plane before the nodes that normalise planes, in place.

    Args:
        model: whose GroupNorms are a reshape and an InstanceNormalization.
        stage: of the graph; values that are made bear its name.
    """
    graph = model.graph
    shapes = {t.name: t.dims[0] for t in graph.initializer if len(t.dims) == 1}
    ranks = {
        node.output[0]: shapes.get(node.input[1], _PLANES)
        for node in graph.node
        if node.op_type == "Reshape"
    }
    nodes: list[onnx.NodeProto] = []
    made: set[int] = set()
    for node in graph.node:
        if node.op_type == _NORM:
            rank = ranks.get(node.input[0], _PLANES)
            axes, mean, centred = (
                f"{stage}/{name}"
                for name in (f"axes_{rank}", f"mean_{len(nodes)}", f"centred_{len(nodes)}")
            )
            made.add(rank)
            nodes.append(
                helper.make_node(
                    "ReduceMean", [node.input[0], axes], [mean], name=f"{node.name}/mean"
                )
            )
            nodes.append(
                helper.make_node(
                    "Sub", [node.input[0], mean], [centred], name=f"{node.name}/centre"
                )
            )
            node.input[0] = centred
        nodes.append(node)
    kept = [_copy(node) for node in nodes]
    del graph.node[:]
    graph.node.extend(kept)
    graph.initializer.extend(
        numpy_helper.from_array(np.arange(2, rank, dtype=np.int64), f"{stage}/axes_{rank}")
        for rank in sorted(made)
    )


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    copy = onnx.NodeProto()
    copy.CopyFrom(node)
    return copy
