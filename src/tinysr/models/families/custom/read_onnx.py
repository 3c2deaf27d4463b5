"""An ONNX file as plain data, checked: which nodes, in which order, with which constants.

Nothing of the file is run, and no memory is taken beyond what its bytes hold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from tinysr import paths
from tinysr.errors import CheckpointError, UnsupportedError, require

from .tensors import read_tensor, read_text

__all__ = ["OnnxFile", "OnnxNode", "OnnxPort", "read_onnx"]

_MOST_BYTES = 2**31 - 1
"""Largest file that Protocol Buffers read; larger networks have their weights beside it."""

_MOST_NODES = 20_000
_MOST_NAME = 1000

_FIRST_OPSET, _LAST_OPSET = 11, 26

_FLOAT, _INT, _STRING, _TENSOR, _GRAPH, _FLOATS, _INTS, _STRINGS = 1, 2, 3, 4, 5, 6, 7, 8


@dataclass(frozen=True, kw_only=True, slots=True)
class OnnxPort:
    """An input or an output of the graph."""

    name: str
    kind: int
    """ONNX's number of its type."""
    shape: tuple[int | None, ...] | None
    """Lengths of its axes, None for those that are not fixed; None if it is no tensor, or of any
    shape."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OnnxNode:
    """A node, whose optional inputs are empty names."""

    name: str
    operator: str
    """Its operator, with the domain before it unless it is ONNX's own."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    """Attributes as plain values; tensors are arrays, graphs None."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OnnxFile:
    """A graph whose nodes stand in the order in which they run."""

    path: Path
    opset: int
    inputs: tuple[OnnxPort, ...]
    outputs: tuple[OnnxPort, ...]
    nodes: tuple[OnnxNode, ...]
    tensors: dict[str, NDArray[Any]]
    """Initializers by their names."""


def read_onnx(path: Path) -> OnnxFile:
    """Read an ONNX file.

    Raises:
        CheckpointError: it can't be read, or is damaged or hostile.
        UnsupportedError: it is of a version, or uses a mechanism, that is not read.
    """
    model = _parse(path)
    opset = _read_opset(model, path)
    graph = model.graph
    if len(graph.node) > _MOST_NODES:
        raise CheckpointError(
            f"{path}: {len(graph.node):,} nodes, expected {_MOST_NODES:,} at most"
        )
    if len(model.functions) or len(graph.sparse_initializer):
        raise UnsupportedError(
            f"{path}: it has functions of its own or sparse tensors: inline and fill them first, "
            "as onnx.inliner does for functions"
        )
    nodes = tuple(_read_node(node, index, path) for index, node in enumerate(graph.node))
    names = [read_text(tensor.name, path) for tensor in graph.initializer]
    ports = [_read_port(port, path) for port in graph.input]
    inputs = tuple(port for port in ports if port.name not in set(names))
    outputs = tuple(_read_port(port, path) for port in graph.output)
    _check_names(names, [port.name for port in inputs], nodes, path)
    _check_order(inputs, names, nodes, outputs, path)
    tensors = {
        name: read_tensor(tensor, path)
        for name, tensor in zip(names, graph.initializer, strict=True)
    }
    return OnnxFile(
        path=path, opset=opset, inputs=inputs, outputs=outputs, nodes=nodes, tensors=tensors
    )


def _parse(path: Path) -> Any:
    onnx: Any = require("onnx", extra="parity")
    data = paths.read_limited(path, _MOST_BYTES, CheckpointError)
    if data is None:
        raise CheckpointError(f"{path}: expected an ONNX file, found nothing")
    try:
        model = onnx.ModelProto.FromString(data)
    except Exception as error:  # Protocol Buffers' implementations have errors of their own
        raise CheckpointError(f"{path}: not a readable ONNX file: export it again") from error
    if not model.graph.node:
        raise CheckpointError(f"{path}: an ONNX file without nodes: export it again")
    return model


def _read_opset(model: Any, path: Path) -> int:
    found = {read_text(entry.domain, path): entry.version for entry in model.opset_import}
    version = int(found.get("", found.get("ai.onnx", 0)))
    if not _FIRST_OPSET <= version <= _LAST_OPSET:
        raise UnsupportedError(
            f"{path}: opset {version}, expected {_FIRST_OPSET} to {_LAST_OPSET}: "
            f"export with opset_version=20"
        )
    return version


def _read_node(node: Any, index: int, path: Path) -> OnnxNode:
    operator, domain = read_text(node.op_type, path), read_text(node.domain, path)
    name = read_text(node.name, path) or f"{operator}_{index}"
    if domain not in ("", "ai.onnx"):
        operator = f"{domain}.{operator}"
    attributes = {
        read_text(one.name, path): _read_attribute(one, name, path) for one in node.attribute
    }
    outputs = [read_text(one, path) for one in node.output]
    while len(outputs) > 1 and not outputs[-1]:
        outputs.pop()
    return OnnxNode(
        name=name,
        operator=operator,
        inputs=tuple(read_text(one, path) for one in node.input),
        outputs=tuple(outputs),
        attributes=attributes,
    )


def _read_attribute(attribute: Any, node: str, path: Path) -> Any:
    readers: dict[int, Callable[[], Any]] = {
        _FLOAT: lambda: float(attribute.f),
        _INT: lambda: int(attribute.i),
        _STRING: lambda: attribute.s.decode(errors="replace"),
        _TENSOR: lambda: read_tensor(attribute.t, path),
        _GRAPH: lambda: None,  # its node is refused by its operator
        _FLOATS: lambda: [float(value) for value in attribute.floats],
        _INTS: lambda: [int(value) for value in attribute.ints],
        _STRINGS: lambda: [value.decode(errors="replace") for value in attribute.strings],
    }
    if attribute.type not in readers:
        name = read_text(attribute.name, path)
        raise UnsupportedError(
            f"{path}: node '{node:.80}': the attribute {name:.40} is of a kind that is not read: "
            "export without it"
        )
    return readers[attribute.type]()


def _read_port(port: Any, path: Path) -> OnnxPort:
    name = read_text(port.name, path)
    if not port.type.HasField("tensor_type"):
        return OnnxPort(name=name, kind=0, shape=None)
    tensor = port.type.tensor_type
    if not tensor.HasField("shape"):
        return OnnxPort(name=name, kind=tensor.elem_type, shape=None)
    shape = tuple(
        int(side.dim_value) if side.HasField("dim_value") and side.dim_value > 0 else None
        for side in tensor.shape.dim
    )
    return OnnxPort(name=name, kind=tensor.elem_type, shape=shape)


def _check_names(
    tensors: Sequence[str], inputs: Sequence[str], nodes: Sequence[OnnxNode], path: Path
) -> None:
    """Refuse values of one name, which would be made twice, and names that no file needs."""
    seen: set[str] = set()
    for name in (*tensors, *inputs, *(out for node in nodes for out in node.outputs if out)):
        if name in seen:
            raise CheckpointError(
                f"{path}: two values are named {name!r:.80}: expected names that differ"
            )
        if len(name) > _MOST_NAME:
            raise CheckpointError(f"{path}: a name of {len(name):,} letters: export it again")
        seen.add(name)


def _check_order(
    inputs: Sequence[OnnxPort],
    tensors: Sequence[str],
    nodes: Sequence[OnnxNode],
    outputs: Sequence[OnnxPort],
    path: Path,
) -> None:
    """Refuse nodes that read what is not there, or not yet."""
    there = {"", *tensors, *(port.name for port in inputs)}
    later = {out for node in nodes for out in node.outputs}
    for node in nodes:
        for name in node.inputs:
            if name not in there:
                why = (
                    "which a later node makes: the nodes are out of order, or in a circle"
                    if name in later
                    else "which nothing makes: an initializer is missing"
                )
                raise CheckpointError(
                    f"{path}: node '{node.name:.80}' ({node.operator:.40}) reads {name!r:.80}, "
                    f"{why}: export it again"
                )
        there.update(node.outputs)
    for port in outputs:
        if port.name not in there:
            raise CheckpointError(f"{path}: nothing makes the output {port.name!r:.80}")
