"""One file of weights that every graph of a bundle reads from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from torch import Tensor

from tinysr.errors import UnsupportedError

__all__ = ["WeightFile", "attach"]

_ALIGNMENT = 4096
"""Bytes. Runtimes map the file into memory page by page."""

_SMALL = 4096
"""Bytes. Below this, alignment would cost more than it brings."""

_LARGEST_INLINE = 2**16
"""Bytes of a constant that may lie in a graph itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Span:
    offset: int
    length: int
    shape: tuple[int, ...]
    data_type: int


class WeightFile:
    """Weights written once, in the order of their names."""

    def __init__(self, path: Path, tensors: Mapping[str, Tensor | NDArray[Any]]) -> None:
        self.path = path
        self._spans: dict[str, _Span] = {}
        with path.open("wb") as file:
            for name in sorted(tensors):
                self._spans[name] = _write(file, _array(tensors[name]))

    def initializer(self, name: str) -> onnx.TensorProto:
        """Return an initializer that refers to a weight in the file."""
        span = self._spans[name]
        tensor = onnx.TensorProto(
            name=name,
            dims=span.shape,
            data_type=span.data_type,
            data_location=onnx.TensorProto.EXTERNAL,
        )
        entries = {"location": self.path.name, "offset": span.offset, "length": span.length}
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=str(value))
        return tensor


def attach(model: onnx.ModelProto, names: Iterable[str], weights: WeightFile) -> onnx.ModelProto:
    """Return the graph with its weight inputs turned into references to the weight file.

    Raises:
        UnsupportedError: a constant of a weight's size lies in the graph itself, which would be
            written for each graph and precision, and ends at 2 GB.
    """
    _refuse_large(model.graph)
    names = set(names)
    result = onnx.ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    used = {name for node in graph.node for name in node.input}
    inputs = [value for value in graph.input if value.name not in names]
    del graph.input[:]
    graph.input.extend(inputs)
    graph.initializer.extend(weights.initializer(name) for name in sorted(names & used))
    return result


def _refuse_large(graph: onnx.GraphProto) -> None:
    for tensor in graph.initializer:
        size = tensor.ByteSize()
        if size > _LARGEST_INLINE:
            raise UnsupportedError(
                f"'{tensor.name}' puts {size} bytes into the graph: expected parameters that it "
                "reads as they are; lay a linear out as MatMulLinear"
            )


def _array(tensor: Tensor | NDArray[Any]) -> NDArray[Any]:
    if isinstance(tensor, Tensor):
        tensor = tensor.detach().contiguous().numpy()
    return np.ascontiguousarray(tensor)


def _pack(array: NDArray[Any]) -> NDArray[Any]:
    """Return the values as ONNX stores them: two to a byte in 4 bits, the first one low."""
    flat = array.reshape(-1)
    if array.dtype != ml_dtypes.int4:
        return flat
    nibbles = flat.astype(np.int8).view(np.uint8) & 0xF
    nibbles = np.append(nibbles, np.zeros(len(nibbles) % 2, np.uint8))
    return nibbles[0::2] | (nibbles[1::2] << 4)


def _write(file: IO[bytes], array: NDArray[Any]) -> _Span:
    values = _pack(array)
    alignment = _ALIGNMENT if values.nbytes >= _SMALL else 64
    file.write(b"\0" * (-file.tell() % alignment))
    offset = file.tell()
    file.write(values.data)  # unlike tofile, it says why it can't
    return _Span(
        offset=offset,
        length=values.nbytes,
        shape=array.shape,
        data_type=onnx.helper.np_dtype_to_tensor_dtype(array.dtype),
    )
