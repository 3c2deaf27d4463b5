"""Types of an engine's layers: checked for real half precision before a build takes minutes.

TensorRT's networks are strongly typed: an fp32 graph silently gives an fp32 engine. So the
network is walked, and every layer that computes outside of the plan's islands must give fp16.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import onnx

from tinysr.chain import Chain
from tinysr.errors import GateError
from tinysr.stages import CENTRE, STEP, WHOLE

from ..onnx.graph import node_module
from ..plans.precision import PrecisionPlan

__all__ = [
    "EngineLayer",
    "check_types",
    "count_types",
    "find_kept_modules",
    "modules_of",
    "walk_layers",
]

_FOLLOWS = frozenset(
    {"Relu", "Resize", "Cast", "Reshape", "Transpose", "Split", "Concat", "Slice", "Pad"}
    | {"Shape", "Gather", "Expand", "Squeeze", "Unsqueeze", "Identity", "Flatten"}
    | {"DepthToSpace", "Constant"}
)
"""Operations that decide on no type: they give what they get, or only move or cast it."""

_NODE = re.compile(r"\[ONNX Layer: (?P<name>[^]\x1e]+)")

_NAMES = {"FLOAT": "fp32", "HALF": "fp16", "BF16": "bf16", "INT8": "int8", "FP8": "fp8"}

_SHOWN = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineLayer:
    """A layer that computes, as TensorRT sees it."""

    module: str
    """Dotted path of the PyTorch module; ``upscale`` for what joins the stages."""
    operation: str
    """The ONNX operation."""
    dtype: str
    """Type of the layer's result: fp32, fp16, …"""


def walk_layers(network: Any, graph: onnx.ModelProto) -> Iterator[EngineLayer]:
    """Yield the layers that decide on a floating-point type.

    Args:
        network: as parsed.
        graph: that it was parsed from: layers bear its nodes' names.
    """
    operations = {node.name: node.op_type for node in graph.graph.node}
    for index in range(network.num_layers):
        layer = network.get_layer(index)
        found = _NODE.search(layer.metadata or "")
        name = found["name"] if found else layer.name
        operation = operations.get(name, "")
        dtype = _NAMES.get(layer.get_output(0).dtype.name)
        if operation and operation not in _FOLLOWS and dtype is not None:
            yield EngineLayer(module=node_module(name), operation=operation, dtype=dtype)


def count_types(found: list[EngineLayer]) -> dict[str, int]:
    """Return how many layers compute in which type."""
    return dict(sorted(Counter(layer.dtype for layer in found).items()))


def check_types(
    found: list[EngineLayer], precision: str, kept: Mapping[str, str], *, label: str
) -> dict[str, int]:
    """Hold every layer's type against the precision and its plan.

    Args:
        found: from :func:`walk_layers`.
        precision: of the artifact.
        kept: modules that the plan keeps in fp32.
        label: of the artifact, for messages.

    Returns:
        What :func:`count_types` does.

    Raises:
        GateError: a layer is in another type.
    """
    if precision in ("fp32", "fp16"):
        wrong = [x for x in found if x.dtype != _choose_type(x, precision, kept)]
        if wrong:
            named = ", ".join(f"{x.operation} of '{x.module}' in {x.dtype}" for x in wrong[:_SHOWN])
            more = f" and {len(wrong) - _SHOWN} more" if len(wrong) > _SHOWN else ""
            raise GateError(
                f"{label}: expected {precision} outside of the plan's islands, found "
                f"{named}{more}: export the bundle again"
            )
    return count_types(found)


def modules_of(graph: onnx.ModelProto) -> set[str]:
    """Return the modules that a graph's nodes compute for, and all that hold them."""
    paths: set[str] = set()
    for node in graph.graph.node:
        parts = node_module(node.name).split(".")
        paths |= {".".join(parts[: end + 1]) for end in range(len(parts))}
    return paths


def find_kept_modules(
    plan: PrecisionPlan | None, whole: onnx.ModelProto, chain: Chain
) -> Mapping[str, str]:
    """Return the modules that are kept in fp32, by a plan or always, and the type.

    Args:
        plan: None keeps none.
        chain: that the graphs are of.
        whole: the graph of the whole model: a plan names modules of all stages.
    """
    known = modules_of(whole)
    wide = [f"{stage.name}.{name}" for stage in chain.stages for name in (STEP, CENTRE)]
    inside = [path for path in known for one in wide if path.startswith(f"{one}.")]
    return {**(plan.list_wide(known) if plan else {}), **dict.fromkeys([*wide, *inside], "fp32")}


def _choose_type(layer: EngineLayer, precision: str, kept: Mapping[str, str]) -> str:
    # Between stages values are fp32: that is what runtimes feed.
    return "fp32" if layer.module == WHOLE else kept.get(layer.module, precision)
