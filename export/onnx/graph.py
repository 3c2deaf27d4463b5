"""A stage of the baked model → an ONNX graph without its weights.

Three conventions make everything after this simple:

- A value that is a module's output bears the module's dotted path, so that a graph can be held
  against the PyTorch model module by module (:mod:`tinysr.parity`). All other values bear the
  stage's name, so that graphs can be joined without clashes.
- A node is named after the innermost module that it computes for, so that what a compiler says of
  a node says where to look in PyTorch (:func:`node_module`).
- Weights are graph inputs named after their parameters until the very end. Simplifying a model
  of any size then takes no more than its structure.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import onnx
import onnx_ir as ir
import torch
from torch import Tensor, nn

from tinysr.chain import Chain
from tinysr.stages import IMAGE, Field, StageName

from ..model.baked import Baked
from .centre import centre_norms

__all__ = [
    "OPSET",
    "StageGraph",
    "example_input",
    "export_stage",
    "node_module",
    "silence_exporter",
]

OPSET = 20
"""The first with a native GELU; from 23 on, Attention appears, which TensorRT-RTX refuses."""

_SCOPES = "pkg.torch.onnx.name_scopes"


@dataclass(frozen=True, kw_only=True, slots=True)
class StageGraph:
    """An ONNX graph whose weights are still inputs."""

    stage: StageName
    model: onnx.ModelProto
    weights: tuple[str, ...]
    """The inputs that are weights: names in the baked model's state dict."""


class _Stage(nn.Module):
    """One stage under its own name, so that its paths in the graph are the model's."""

    def __init__(self, model: Baked, stage: StageName) -> None:
        super().__init__()
        self.stage = stage
        self.add_module(stage, model.get_submodule(stage))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.get_submodule(self.stage)(x)
        return y


def node_module(node: str) -> str:
    """Return the dotted path of the module that a node of this name computes for."""
    return node.partition("/")[0]


def example_input(chain: Chain, stage: StageName, tile: int, batch: int) -> Tensor:
    """Return seeded noise in the shape of a graph's input for a tile of ``tile`` pixels."""
    generator = torch.Generator().manual_seed(0)
    reads, _ = chain.ends(stage)
    side, _ = chain.sides(stage, tile)
    return torch.rand((batch, reads.channels, side, side), generator=generator)


def export_stage(model: Baked, stage: StageName, *, tile: int, batch: int | None) -> StageGraph:
    """Export one stage.

    Args:
        model: a fully baked model.
        stage: one of the chain's. Those of tiles take one tile's size; others take any size and
            batch.
        tile: side of a tile in low-resolution pixels.
        batch: tiles that a stage of tiles takes at once; any number when None.
    """
    chain = model.chain
    reads, gives = chain.ends(stage)
    fixed = chain.is_fixed(stage)
    axes = {0: "batch"} if not fixed or batch is None else {}
    if not fixed:
        axes |= dict(zip((2, 3), _name_sides(reads), strict=True))
    # Two tiles, or tracing takes the batch for the constant one.
    example = example_input(chain, stage, tile, 2 if 0 in axes else batch or 1)
    module = _Stage(model, stage).eval()
    try:
        program = _trace(module, example, _open(axes, 1), reads, gives)
    except torch.onnx.OnnxExporterError:
        own = chain.stage(stage)
        each = own.align * chain.cell(own) // reads.pixels_per_cell
        if each == 1 or fixed:  # no side could be opened otherwise
            raise
        program = _trace(module, example, _open(axes, each), reads, gives)
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing")
    paths = {name for name, _ in model.named_modules() if name}
    names = set(model.state_dict())
    _name_values(program.model.graph, stage, paths, names)
    weights = _move_weights_to_inputs(program.model.graph, names)
    proto = ir.to_proto(program.model)
    centre_norms(proto, stage)
    _clean(proto, axes, _output_shape(chain, stage, tile, axes))
    return StageGraph(stage=stage, model=proto, weights=weights)


def _trace(
    module: nn.Module, example: Tensor, dims: dict[int, Any], reads: Field, gives: Field
) -> torch.onnx.ONNXProgram | None:
    with silence_exporter():
        return torch.onnx.export(
            module,
            (example,),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=(dims,) if dims else None,
            input_names=[reads.name],
            output_names=[gives.name],
            verbose=False,
        )


def _open(axes: Mapping[int, str], each: int) -> dict[int, Any]:
    """Return open dimensions, whose sides divide by a number."""
    dims = {axis: torch.export.Dim(name) for axis, name in axes.items()}
    return {
        axis: dim if each == 1 or axis == 0 else each * torch.export.Dim(f"{axes[axis]}_cells")
        for axis, dim in dims.items()
    }


def _name_sides(field: Field) -> tuple[str, str]:
    """Return the names of a field's open sides."""
    prefix = "" if field.name == IMAGE else f"{field.name}_"
    return f"{prefix}height", f"{prefix}width"


def _name_values(graph: ir.Graph, stage: StageName, paths: set[str], weights: set[str]) -> None:
    """Name each module's last value after the module; prefix the others with the stage."""
    for name in [name for name in graph.initializers if name not in weights]:
        graph.initializers[name].name = f"{stage}/{name}"
    ports = {*graph.inputs, *graph.outputs}
    last: dict[str, ir.Value] = {}
    for index, node in enumerate(graph):
        scopes = _find_scopes(node) & paths
        node.name = f"{max(scopes, key=len, default=stage)}/{index}"
        for value in node.outputs:
            if value not in ports:
                value.name = f"{stage}/{value.name}"
        for scope in scopes:
            last[scope] = node.outputs[0]
    # Longest path last: where a module ends with another's output, the inner one is named.
    for path in sorted(last, key=len):
        if last[path] not in ports:
            last[path].name = path


def _find_scopes(node: ir.Node) -> set[str]:
    text = node.metadata_props.get(_SCOPES, "")
    return {part.strip().strip("'\"") for part in text.strip("[]").split(",")}


def _move_weights_to_inputs(graph: ir.Graph, names: set[str]) -> tuple[str, ...]:
    weights = tuple(sorted(names & graph.initializers.keys()))
    for name in weights:
        value = graph.initializers.pop(name)
        value.const_value = None
        graph.inputs.append(value)
    return weights


def _output_shape(
    chain: Chain, stage: StageName, tile: int, axes: Mapping[int, str]
) -> tuple[int | str, ...]:
    _, gives = chain.ends(stage)
    side = chain.sides(stage, tile)[1]
    shape: list[int | str] = [1, gives.channels, side, side]
    if not chain.is_fixed(stage):
        shape[2:] = _name_sides(gives)
    if 0 in axes:
        shape[0] = "batch"
    return tuple(shape)


def _clean(
    proto: onnx.ModelProto, axes: Mapping[int, str], output_shape: tuple[int | str, ...]
) -> None:
    """Drop the exporter's traces (stack traces hold this machine's paths) and its formulas."""
    proto.ClearField("metadata_props")
    proto.ClearField("doc_string")
    proto.graph.ClearField("value_info")
    proto.graph.ClearField("metadata_props")
    for node in proto.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*proto.graph.input, *proto.graph.output):
        value.ClearField("metadata_props")
    for axis, name in axes.items():
        proto.graph.input[0].type.tensor_type.shape.dim[axis].dim_param = name
    for dim, size in zip(
        proto.graph.output[0].type.tensor_type.shape.dim[1:], output_shape[1:], strict=True
    ):
        if isinstance(size, str):
            dim.dim_param = size


@contextlib.contextmanager
def silence_exporter() -> Iterator[None]:
    """Keep the exporter's chatter about packages we don't use off the user's screen."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
