"""An ONNX file → a module tree: constants computed, each node a module of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from tinysr.errors import CheckpointError, UnsupportedError

from .fold import Graph, describe_call, fold_batch_norms, fold_constants, join_reasons, keep_live
from .fuse import fuse_group_norms
from .names import choose_name
from .network import Network, Step
from .nodes import OPERATORS, SIZE_OPERATORS
from .nodes.norms import OWN_OPERATORS
from .nodes.sizes import MOST_SIZES
from .read_onnx import OnnxFile, OnnxNode, OnnxPort

__all__ = ["build_network", "image_port"]

_FLOATS = (1, 10)
"""ONNX's numbers of the types that an image comes in: fp32, and fp16, which becomes fp32."""

_CHANNELS = 3

_SPECIAL = ("Constant", "Shape")


def image_port(file: OnnxFile, constants: Mapping[str, object]) -> OnnxPort:
    """Return the input that takes the image: the only one that no constant stands for.

    Raises:
        UnsupportedError: there is none, or several, or it takes no image.
    """
    known = {port.name for port in file.inputs}
    strangers = [name for name in constants if name not in known]
    if strangers:
        raise UnsupportedError(
            f"{file.path}: no input '{strangers[0]:.60}' for the constant: expected one of "
            f"{', '.join(sorted(known)):.200}"
        )
    left = [port for port in file.inputs if port.name not in constants]
    if len(left) != 1:
        names = ", ".join(port.name for port in left) or "none"
        raise UnsupportedError(
            f"{file.path}: expected one input, the image, found {names:.200}: give the others "
            "values under [constants]"
        )
    if len(file.outputs) != 1:
        names = ", ".join(port.name for port in file.outputs)
        raise UnsupportedError(
            f"{file.path}: expected one output, found {names:.200}: export the image alone"
        )
    _check_image(file, left[0], "input")
    _check_image(file, file.outputs[0], "output")
    return left[0]


def _check_image(file: OnnxFile, port: OnnxPort, end: str) -> None:
    where = f"{file.path}: {end} '{port.name:.60}'"
    if port.kind not in _FLOATS:
        raise UnsupportedError(
            f"{where} is of ONNX's type {port.kind}, expected floats: leave conversions from and "
            "to integers out of the export"
        )
    if port.shape is None and end == "output":
        return
    shape = port.shape or ()
    if len(shape) != 4 or shape[1] not in (_CHANNELS, None):
        sides = [side or "?" for side in shape]
        raise UnsupportedError(
            f"{where} has the shape {sides!r:.80}, expected [N, {_CHANNELS}, height, width]"
        )


def build_network(file: OnnxFile, constants: Mapping[str, float | Sequence[float]]) -> Network:
    """Make a module tree that computes what the file does.

    Args:
        file: a checked file.
        constants: values of inputs other than the image, by their names.

    Raises:
        UnsupportedError: it has inputs, operators or attributes that are not supported; all of
            them are named.
    """
    image, output = image_port(file, constants), file.outputs[0].name
    nodes = keep_live(file.nodes, output)
    _check_operators(file, nodes)
    arrays = {**file.tensors}
    for port in file.inputs:
        if port.name in constants:
            arrays[port.name] = _fill_constant(file, port, constants[port.name])
    try:
        graph = fold_constants(Graph(opset=file.opset, nodes=nodes, constants=arrays))
        graph = fuse_group_norms(fold_batch_norms(graph, output), output)
    except UnsupportedError as error:
        raise UnsupportedError(f"{file.path}: {error}") from error
    if not any(image.name in node.inputs for node in graph.nodes) or output in graph.constants:
        raise CheckpointError(f"{file.path}: its output does not depend on the image")
    modules, steps = _make_steps(file, graph)
    return Network(modules, _add_drops(steps, output), (image.name, output))


def _check_operators(file: OnnxFile, nodes: Sequence[OnnxNode]) -> None:
    """Refuse operators and attributes that are not supported, all at once."""
    known = {*OPERATORS, *SIZE_OPERATORS, *_SPECIAL}
    strange: Counter[str] = Counter()
    for node in nodes:
        if node.operator not in known:
            strange[f"{node.operator:.60}"] += 1
        elif node.operator in OPERATORS:
            operator = OPERATORS[node.operator]
            if len(node.outputs) > operator.outputs:
                strange[f"{node.operator} with {len(node.outputs)} outputs"] += 1
            if not (node.inputs and node.inputs[0]):
                strange[f"{node.operator} without inputs"] += 1
            extra = [name for name in node.attributes if name not in operator.attributes]
            if node.operator not in SIZE_OPERATORS:
                strange.update(f"{node.operator}'s attribute {name:.40}" for name in extra)
    if strange:
        found = ", ".join(f"{name} ({count})" for name, count in sorted(strange.items()))
        raise UnsupportedError(
            f"{file.path}: not supported: {found:.600}: change the network so that it is exported "
            "without them (one pass, no loops or branches, no random numbers, no quantization)"
        )


def _fill_constant(
    file: OnnxFile, port: OnnxPort, values: float | Sequence[float]
) -> NDArray[np.float32]:
    shape = tuple(side or 1 for side in port.shape or ())
    found = np.asarray(values, dtype=np.float32)
    if port.kind not in _FLOATS or (port.shape and None in port.shape[1:]):
        raise UnsupportedError(
            f"{file.path}: input '{port.name:.60}' can't be a constant: expected floats of a fixed "
            "shape"
        )
    if found.size not in (1, int(np.prod(shape))) or np.prod(shape, dtype=float) > MOST_SIZES:
        raise UnsupportedError(
            f"{file.path}: input '{port.name:.60}' has the shape {list(shape)!r:.60}, found "
            f"{found.size} values under [constants]"
        )
    return np.broadcast_to(found.reshape(-1), (int(np.prod(shape)),)).reshape(shape).copy()


def _make_steps(file: OnnxFile, graph: Graph) -> tuple[list[tuple[str, nn.Module]], list[Step]]:
    modules: list[tuple[str, nn.Module]] = []
    steps: list[Step] = []
    refused: list[UnsupportedError] = []
    sizes: set[str] = set()
    taken: set[str] = set()
    for node in graph.nodes:
        call = describe_call(graph, node)
        if _gives_sizes(graph, node, sizes):
            sizes.update(node.outputs)
            steps.append(
                Step(call=call, module="", reads=_read_sizes(graph, node), gives=node.outputs)
            )
            continue
        try:
            operator = OPERATORS.get(node.operator) or OWN_OPERATORS.get(node.operator)
            if operator is None:
                raise call.refuse("computes sizes, and is given pixels")
            with call.guard():
                made = operator.make(call)
        except UnsupportedError as error:
            refused.append(error)
            continue
        name = choose_name(node, taken)
        modules.append((name, made.eval()))
        reads = tuple(one for one in node.inputs if one and one not in graph.constants)
        steps.append(
            Step(call=replace(call, constants={}), module=name, reads=reads, gives=node.outputs)
        )
    if refused:
        raise UnsupportedError(f"{file.path}: {join_reasons(refused)}")
    return modules, steps


def _gives_sizes(graph: Graph, node: OnnxNode, sizes: set[str]) -> bool:
    """Tell whether a node computes with the image's size alone."""
    if node.operator == "Shape":
        return True
    there = [name for name in node.inputs if name]
    if node.operator in ("ConstantOfShape", "Expand") and _gives_floats(graph, node):
        return False
    return node.operator in SIZE_OPERATORS and all(
        name in sizes or (name in graph.constants and graph.constants[name].size <= MOST_SIZES)
        for name in there
    )


def _gives_floats(graph: Graph, node: OnnxNode) -> bool:
    """Tell whether a constant of floats takes a shape that is computed from the image's."""
    source = graph.constants.get(node.inputs[0])
    if node.operator == "ConstantOfShape":
        source = node.attributes.get("value")
        return source is None or source.dtype.kind == "f"
    return source is not None and source.dtype.kind == "f"


def _read_sizes(graph: Graph, node: OnnxNode) -> tuple[str | NDArray[Any] | None, ...]:
    return tuple(
        (graph.constants[name].astype(object) if name in graph.constants else name)
        if name
        else None
        for name in node.inputs
    )


def _add_drops(steps: Sequence[Step], output: str) -> list[Step]:
    """Tell each step which values nobody reads after it."""
    kept, result = {output}, []
    for step in reversed(steps):
        names = [name for name in (*step.reads, *step.gives) if isinstance(name, str) and name]
        drops = tuple(name for name in dict.fromkeys(names) if name not in kept)
        kept.update(drops)
        result.append(replace(step, drops=drops))
    return list(reversed(result))
