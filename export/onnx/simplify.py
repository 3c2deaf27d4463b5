"""onnxsim on a graph's structure, and the proof that it changed nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx

from tinysr.errors import GateError, require
from tinysr.manifest import Simplification

from .graph import StageGraph

__all__ = ["SIMPLIFY_TOLERANCE", "compute", "prove_simplified", "simplify"]

SIMPLIFY_TOLERANCE = 1e-5
"""Largest difference of simplified against plain, relative to the output's largest value."""

_NO_RESHAPES = "eliminate_nop_reshape"
"""Step of onnxsim that removes reshapes to the same sizes."""


def simplify(graph: StageGraph) -> StageGraph:
    """Run onnxsim. The weights are inputs, so its cost is the structure's, at any model size."""
    onnxsim: Any = require("onnxsim", extra="export")
    model, _ = onnxsim.simplify(graph.model)
    if [*model.graph.input] != [*graph.model.graph.input]:
        # A reshape that it found to do nothing left its open sizes to the input.
        model, _ = onnxsim.simplify(graph.model, skipped_optimizers=[_NO_RESHAPES])
    # onnxsim writes the shapes it inferred; with the weights gone they are only weight.
    model.graph.ClearField("value_info")
    return StageGraph(stage=graph.stage, model=model, weights=graph.weights)


def prove_simplified(
    plain: Path, simplified: Path, image: np.ndarray, expected: np.ndarray
) -> Simplification:
    """Hold a simplified graph's result against the plain graph's.

    Args:
        plain: the graph as exported.
        simplified: the graph after onnxsim.
        image: the input, float32.
        expected: what the plain graph computes of it.

    Raises:
        GateError: they differ by more than :data:`SIMPLIFY_TOLERANCE`.
    """
    found = compute(simplified, image)
    difference = float(np.abs(found - expected).max() / np.abs(expected).max())
    if not difference <= SIMPLIFY_TOLERANCE:
        raise GateError(
            f"{simplified.name}: onnxsim changed the result by {difference:.2e} of its largest "
            f"value, more than {SIMPLIFY_TOLERANCE:.0e}"
        )
    return Simplification(
        nodes_before=_nodes(plain), nodes_after=_nodes(simplified), difference=difference
    )


def compute(path: Path, image: np.ndarray) -> np.ndarray:
    """Return what a graph's nodes compute, as they are, of one input in float32."""
    onnxruntime: Any = require("onnxruntime", extra="export")

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # The graphs as they are, without a second copy of the weights in the CPU's own layout.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.add_session_config_entry("session.disable_prepacking", "1")
    # An arena grows by doubling, and a gigabyte of it may stay unused.
    options.enable_cpu_mem_arena = False
    # Half weights become floats where they are used, not all of them at the start.
    options.execution_order = onnxruntime.ExecutionOrder.PRIORITY_BASED
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    result: np.ndarray = session.run(None, {session.get_inputs()[0].name: image})[0]
    return result


def _nodes(path: Path) -> int:
    return len(onnx.load(path, load_external_data=False).graph.node)
