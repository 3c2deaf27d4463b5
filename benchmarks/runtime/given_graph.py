"""Graph of a decoder whose norms' statistics are inputs, in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tinysr.export.model.given_norms import Statistics
from tinysr.export.onnx.graph import silence_exporter
from tinysr.quiet import load

__all__ = ["Array", "Run", "open_decoder"]

Array = NDArray[np.float32]

Run = Callable[[Array, Statistics], Array]
"""Function that runs a graph on features, with the statistics that it takes."""

_GIVEN = ".given"
"""End of the names of the buffers that become inputs."""


def open_decoder(stage: nn.Module, channels: int) -> Run:
    """Return a function that runs a stage in ONNX Runtime; its statistics are inputs."""
    onnx, runtime = load("onnx"), load("onnxruntime")
    names = {0: torch.export.Dim.STATIC, 1: torch.export.Dim.STATIC}
    sides = {2: torch.export.Dim("height", min=2), 3: torch.export.Dim("width", min=2)}
    with silence_exporter():
        exported = torch.onnx.export(
            stage.eval(),
            (torch.rand(1, channels, 20, 24),),
            dynamo=True,
            optimize=False,
            verbose=False,
            dynamic_shapes=(names | sides,),
        )
    if exported is None:
        raise RuntimeError("torch.onnx.export returned nothing")
    proto = exported.model_proto
    for tensor in [one for one in proto.graph.initializer if one.name.endswith(_GIVEN)]:
        proto.graph.input.append(
            onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, [*tensor.dims])
        )
        proto.graph.initializer.remove(tensor)
    session = runtime.InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    first = session.get_inputs()[0].name
    takes = {one.name for one in session.get_inputs()}

    def run(x: Array, statistics: Statistics) -> Array:
        feeds = {f"{name}{_GIVEN}": tensor.numpy() for name, tensor in statistics.items()}
        feeds = {name: value for name, value in feeds.items() if name in takes}
        result: Array = session.run(None, {first: np.ascontiguousarray(x), **feeds})[0]
        return result

    return run
