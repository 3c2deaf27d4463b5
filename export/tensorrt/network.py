"""An ONNX graph → a TensorRT network, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from tinysr.errors import BundleError, MissingBackendError, UnsupportedError
from tinysr.runtime.tensorrt.log import Messages, make_logger

from ..onnx.graph import node_module
from .flavor import Flavor

__all__ = ["OPSETS", "Parsed", "parse_network", "read_graph"]

OPSETS = range(18, 23)
"""Opsets that both flavours read as they are meant; a later opset is read, and refused at some
shapes."""


def read_graph(path: Path, label: str) -> onnx.ModelProto:
    """Read a graph without its weights.

    Raises:
        BundleError: it is not an ONNX file.
        UnsupportedError: its opset is none that engines are built from.
    """
    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf's own errors have no common base
        raise BundleError(
            f"{label}: {path.name} is not an ONNX file: export the bundle again"
        ) from error
    opset = next((entry.version for entry in model.opset_import if entry.domain == ""), 0)
    if opset not in OPSETS:
        raise UnsupportedError(
            f"{label}: expected an opset from {OPSETS.start} to {OPSETS.stop - 1}, found {opset}: "
            "export the graph again"
        )
    return model


@dataclass(frozen=True, kw_only=True, slots=True)
class Parsed:
    """A network that is ready to be built, and what has to live as long as it does."""

    network: Any
    parser: Any
    """Holds the weights that were read from files."""
    builder: Any
    messages: Messages
    """Messages of TensorRT, from parsing on."""


def parse_network(flavor: Flavor, path: Path, label: str) -> Parsed:
    """Return a strongly typed network: types are what the graph says, and nothing else.

    Args:
        flavor: whose parser reads it.
        path: the graph, its weights beside it.
        label: the graph's name, for messages.

    Raises:
        UnsupportedError: it has an operation that TensorRT lacks; the message has the module that
            computes it, and the parser's words.
        MissingBackendError: TensorRT does not start.
    """
    module, messages = flavor.module, Messages()
    log = make_logger(module, messages)
    builder = module.Builder(log)
    if not builder:
        raise MissingBackendError(f"{flavor.label} does not start: {messages.first}")
    # 10.x has to be told, 11 and RTX know no other networks.
    typed = getattr(module.NetworkDefinitionCreationFlag, "STRONGLY_TYPED", None)
    network = builder.create_network(0 if typed is None else 1 << int(typed))
    parser = module.OnnxParser(network, log)
    if not parser.parse_from_file(str(path)):
        problems = "; ".join(_problems(parser)) or messages.first
        raise UnsupportedError(f"{label}: {flavor.label} can't read the graph: {problems}")
    return Parsed(network=network, parser=parser, builder=builder, messages=messages)


def _problems(parser: Any) -> Iterator[str]:
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        words = " ".join(error.desc().split())
        if error.node_operator():
            where = f"'{node_module(error.node_name())}' in PyTorch"
            yield f"the operation {error.node_operator()} of {where}: {words}"
        else:
            yield words
