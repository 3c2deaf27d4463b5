"""Probe of an ONNX graph: its values by name, and what they are for an input."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysr.atomic import share
from tinysr.errors import BundleError, require

__all__ = ["graph_values", "run_probed"]

Array = NDArray[np.floating[Any]]


def graph_values(path: Path) -> tuple[set[str], str]:
    """Return the names of all values that a graph computes, and that of its one output."""
    graph = _load(path).graph
    names = {name for node in graph.node for name in node.output if name}
    return names, str(graph.output[0].name)


def run_probed(path: Path, names: Sequence[str], inputs: Array) -> dict[str, Array]:
    """Run a graph on one input and return the named values and its output, in fp32.

    Args:
        path: an ONNX file with its external data beside it; neither is changed.
        names: values of the graph.
        inputs: the input without batch. A fixed batch is filled with copies of it, of which
            the first one's values are returned.

    Raises:
        BundleError: ONNX Runtime can't open or run the graph.
    """
    model = _load(path)
    outputs = {value.name for value in model.graph.output}
    for name in names:
        if name not in outputs:
            # Without a type: ONNX Runtime infers it.
            model.graph.output.add().name = name
    # In a folder of its own, next to links to the weights: the bundle stays as it is, and the
    # weights stay inside the graph's folder, as ONNX Runtime demands.
    with tempfile.TemporaryDirectory(prefix="tinysr-bisect-") as folder:
        _bring_data(model, path.parent, Path(folder))
        probed = Path(folder) / "probed.onnx"
        probed.write_bytes(model.SerializeToString())
        return _run(probed, [*outputs, *(n for n in names if n not in outputs)], inputs)


def _run(path: Path, names: list[str], inputs: Array) -> dict[str, Array]:
    ort = require("onnxruntime", extra="parity")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        (port,) = session.get_inputs()
        count = port.shape[0] if isinstance(port.shape[0], int) else 1
        dtype = np.float16 if port.type == "tensor(float16)" else np.float32
        batch = np.repeat(inputs[None].astype(dtype), count, axis=0)
        values = session.run(names, {port.name: batch})
    except Exception as error:
        raise BundleError(f"ONNX Runtime can't bisect the graph: {error}") from error
    return {
        name: np.asarray(value, np.float32)[: len(value) // count]
        for name, value in zip(names, values, strict=True)
    }


def _bring_data(model: Any, source: Path, folder: Path) -> None:
    for location in _locations(model):
        target = folder / location
        target.parent.mkdir(parents=True, exist_ok=True)
        share(source, location, target)


def _locations(model: Any) -> set[str]:
    """Return the external data files of a graph, each inside its folder."""
    found = {
        entry.value
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    }
    for location in found:
        if Path(location).is_absolute() or ".." in Path(location).parts:
            raise BundleError(f"the graph's data file {location!r} leaves the bundle")
    return found


def _load(path: Path) -> Any:
    onnx = require("onnx", extra="parity")
    try:
        return onnx.load(str(path), load_external_data=False)
    except Exception as error:
        raise BundleError(f"{path}: expected an ONNX graph, found none: {error}") from error
