"""Small ONNX files for tests to spoil: a convolution of an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

__all__ = ["external", "image_model", "write"]


def image_model(
    nodes: Sequence[Any] | None = None,
    tensors: Mapping[str, Any] | None = None,
    *,
    shape: Sequence[int | str] = ("n", 3, "h", "w"),
    opset: int = 20,
) -> Any:
    """Return a model from `image` to `out`: a convolution, unless other nodes are given."""
    weight = np.random.default_rng(3).uniform(-1, 1, (3, 3, 3, 3)).astype(np.float32)
    if nodes is None:
        nodes = [helper.make_node("Conv", ["image", "w"], ["out"], name="conv", pads=[1, 1, 1, 1])]
        tensors = {"w": weight}
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
    held = [numpy_helper.from_array(array, name) for name, array in (tensors or {}).items()]
    graph = helper.make_graph(nodes, "g", [image], [out], held)
    version = helper.make_operatorsetid("", opset)
    return helper.make_model(graph, opset_imports=[version], ir_version=10)


def write(path: Path, model: Any, change: Callable[[Any], object] | None = None) -> Path:
    """Write a model, maybe changed, without any check."""
    if change is not None:
        change(model)
    path.write_bytes(model.SerializeToString())
    return path


def external(model: Any, path: Path, **entries: str) -> None:
    """Move a model's weight into a file beside it, as far as its entries say."""
    tensor = model.graph.initializer[0]
    path.write_bytes(tensor.raw_data)
    onnx.external_data_helper.set_external_data(tensor, path.name)
    del tensor.external_data[:]
    for key, value in {"location": path.name, **entries}.items():
        tensor.external_data.add(key=key, value=value)
    tensor.ClearField("raw_data")


def scales(*values: float) -> NDArray[Any]:
    return np.array(values, np.float32)


def ints(*values: int) -> NDArray[Any]:
    return np.array(values, np.int64)
