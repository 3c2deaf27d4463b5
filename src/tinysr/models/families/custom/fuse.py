"""Group norms put together again, which exporters write as an instance norm between reshapes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .fold import Graph, keep_live
from .nodes.norms import FUSED_GROUP_NORM
from .read_onnx import OnnxNode

__all__ = ["fuse_group_norms"]

_END = "/InstanceNormalization"
"""End of the instance norm's name, after that of the module it is in."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Parts:
    """Nodes of a group norm, in their order."""

    split: OnnxNode
    norm: OnnxNode
    join: OnnxNode
    scale: OnnxNode
    shift: OnnxNode


def fuse_group_norms(graph: Graph, output: str) -> Graph:
    """Put group norms together.

    Given: x as [N, G, -1], normalised by its instances, in x's shape again, · weight + bias for
    each channel.
    Result: one node, of one type, whose reach is known, and which a plan can name.
    """
    makers = {name: node for node in graph.nodes for name in node.outputs}
    readers = Counter(name for node in graph.nodes for name in node.inputs)
    readers[output] += 1
    changed: dict[str, OnnxNode] = {}
    for node in graph.nodes:
        parts = _match(node, makers, graph.constants)
        if parts is None or any(
            readers[one.outputs[0]] != 1
            for one in (parts.split, parts.norm, parts.join, parts.scale)
        ):
            continue
        fused = _fuse(parts, makers, graph.constants)
        if fused is not None:
            changed[node.outputs[0]] = fused
    nodes = [changed.get(node.outputs[0], node) for node in graph.nodes]
    return replace(graph, nodes=keep_live(nodes, output))


def _match(
    shift: OnnxNode, makers: Mapping[str, OnnxNode], constants: Mapping[str, NDArray[Any]]
) -> _Parts | None:
    """Return the nodes that end with one, if they are a group norm's by their operators."""
    found = [shift]
    for operator in ("Add", "Mul", "Reshape", "InstanceNormalization", "Reshape"):
        node = found[-1]
        if node.operator != operator or len(node.inputs) < 2:
            return None
        moving = [name for name in node.inputs if name not in constants]
        before = makers.get(moving[0]) if moving else None
        if len(found) == 5:
            break
        if before is None:
            return None
        found.append(before)
    shift, scale, join, norm, split = found
    return _Parts(split=split, norm=norm, join=join, scale=scale, shift=shift)


def _fuse(
    parts: _Parts, makers: Mapping[str, OnnxNode], constants: Mapping[str, NDArray[Any]]
) -> OnnxNode | None:
    """Return the one node; None where shapes or constants are not a group norm's."""
    source = parts.split.inputs[0]
    weights = [_find_constant(one, constants) for one in (parts.scale, parts.shift)]
    inner = [constants.get(name) for name in parts.norm.inputs[1:3]]
    shape = constants.get(parts.split.inputs[1])
    if None in weights or any(one is None for one in inner) or shape is None or shape.size != 3:
        return None
    groups = int(shape[1])
    arrays = [constants[str(name)] for name in weights]
    channels = arrays[0].size
    plain = all(one.shape[-3:] == (channels, 1, 1) and one.size == channels for one in arrays)
    ones, zeros = (np.asarray(one) for one in inner)
    neutral = ones.size == groups and bool((ones == 1).all()) and not zeros.any()
    if not plain or not neutral or channels % groups or shape[2] != -1 or shape[0] not in (0, 1):
        return None
    attributes = {**parts.norm.attributes, "num_groups": groups}
    back = parts.join.inputs[1]
    if back in constants:
        attributes["shape"] = constants[back].tolist()
    elif not _is_whole_shape(makers[back], source):
        return None
    name = parts.norm.name
    return OnnxNode(
        name=name.removesuffix(_END) if name.endswith(_END) else parts.shift.name,
        operator=FUSED_GROUP_NORM,
        inputs=(source, *(str(one) for one in weights)),
        outputs=parts.shift.outputs,
        attributes=attributes,
    )


def _is_whole_shape(node: OnnxNode, source: str) -> bool:
    """Tell whether a node gives the lengths of all axes of a value."""
    cut = node.attributes.get("start", 0) or "end" in node.attributes
    return node.operator == "Shape" and node.inputs[0] == source and not cut


def _find_constant(node: OnnxNode, constants: Mapping[str, NDArray[Any]]) -> str | None:
    return next((name for name in node.inputs if name in constants), None)
