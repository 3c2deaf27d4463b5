"""Constants of an ONNX file as arrays: held to their declared sizes before anything is read."""

from __future__ import annotations

import math
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysr import paths
from tinysr.errors import CheckpointError

__all__ = ["read_tensor", "read_text"]

_MOST_VALUES = 2**31
_MOST_AXES = 8

_FLOAT, _UINT8, _INT8, _INT32, _INT64, _BOOL = 1, 2, 3, 6, 7, 9
_FLOAT16, _DOUBLE, _BFLOAT16 = 10, 11, 16
_EXTERNAL = 1

_TYPES: dict[int, tuple[str, str]] = {
    _FLOAT: ("<f4", "float_data"),
    _UINT8: ("u1", "int32_data"),
    _INT8: ("i1", "int32_data"),
    _INT32: ("<i4", "int32_data"),
    _INT64: ("<i8", "int64_data"),
    _BOOL: ("?", "int32_data"),
    _FLOAT16: ("<f2", "int32_data"),
    _DOUBLE: ("<f8", "double_data"),
    _BFLOAT16: ("<u2", "int32_data"),
}
"""Types that are read: as NumPy names them in bytes, and the field of ONNX with single values."""


def read_text(value: str | bytes, file: Path) -> str:
    """Return a name of a file, which messages may show.

    Raises:
        CheckpointError: it is no text.
    """
    text = value if isinstance(value, str) else value.decode(errors="replace")
    if not text.isprintable():
        raise CheckpointError(f"{file}: a name has letters that can't be shown: export it again")
    return text


def read_tensor(tensor: Any, file: Path) -> NDArray[Any]:
    """Return a constant; floats of any width come in fp32.

    Args:
        tensor: a ``TensorProto``.
        file: the ONNX file, in whose folder external data may lie.

    Raises:
        CheckpointError: it is damaged, hostile or of a type that no image network needs.
    """
    name = f"{file}: tensor '{read_text(tensor.name, file):.80}'"
    shape = tuple(tensor.dims)
    if tensor.data_type not in _TYPES:
        raise CheckpointError(
            f"{name} is of ONNX's type {tensor.data_type}, expected floats, integers of 8, 32 or "
            "64 bits, or bool: export without quantization"
        )
    if len(shape) > _MOST_AXES or any(side < 0 for side in shape):
        raise CheckpointError(f"{name} has the impossible shape {list(shape)!r:.80}")
    if math.prod(shape) > _MOST_VALUES:
        raise CheckpointError(
            f"{name} declares {math.prod(shape):,} values, expected {_MOST_VALUES:,} at most"
        )
    dtype, field = _TYPES[tensor.data_type]
    values = _read_values(tensor, np.dtype(dtype), field, file, name)
    if values.size != math.prod(shape):
        raise CheckpointError(
            f"{name} declares {math.prod(shape):,} values and has {values.size:,}: export it again"
        )
    found = _widen(values.reshape(shape), tensor.data_type)
    if found.dtype.kind == "f" and np.isnan(found).any():
        raise CheckpointError(f"{name} has values that are not numbers: export it again")
    return found


def _read_values(
    tensor: Any, dtype: np.dtype[Any], field: str, file: Path, name: str
) -> NDArray[Any]:
    """Return the values in one row, in the type that stands for them in bytes."""
    if tensor.data_location == _EXTERNAL:
        data = _read_external(tensor, dtype, file, name)
    elif tensor.HasField("raw_data"):
        data = tensor.raw_data
    else:
        singles = getattr(tensor, field)
        kind = np.int64 if field.startswith("int") else dtype
        whole = np.asarray(singles, dtype=kind)
        if tensor.data_type in (_FLOAT16, _BFLOAT16):
            return (whole & 0xFFFF).astype("<u2").view(dtype)
        return whole.astype(dtype)
    if len(data) % dtype.itemsize:
        raise CheckpointError(f"{name} has {len(data):,} bytes, which are no whole values")
    return np.frombuffer(data, dtype=dtype)


def _widen(values: NDArray[Any], kind: int) -> NDArray[Any]:
    if kind == _BFLOAT16:
        return (values.astype("<u4") << 16).view("<f4")
    if kind in (_FLOAT16, _DOUBLE):
        return values.astype(np.float32)
    if kind in (_UINT8, _INT8, _INT32):
        return values.astype(np.int64)
    return values


def _read_external(tensor: Any, dtype: np.dtype[Any], file: Path, name: str) -> bytes:
    entries = {
        read_text(entry.key, file): read_text(entry.value, file) for entry in tensor.external_data
    }
    location = entries.get("location", "")
    place = PurePosixPath(location)
    if not location or place.is_absolute() or ".." in place.parts or set(location) & set("\\:\0"):
        raise CheckpointError(
            f"{name} lies in {location!r:.80}, expected a file in the folder of {file.name}"
        )
    path = file.parent / place
    if paths.is_linked(path, file.parent) or not paths.is_file(path, CheckpointError):
        raise CheckpointError(f"{path}: expected the file with the weights of {file.name}: copy it")
    expected = math.prod(tensor.dims) * dtype.itemsize
    try:
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(expected)))
    except ValueError as error:
        raise CheckpointError(f"{name} has an offset or length that is no number") from error
    size = paths.size(path, CheckpointError)
    if length != expected or offset < 0 or offset + length > size:
        raise CheckpointError(
            f"{name} takes {expected:,} bytes, found {length:,} at {offset:,} of {size:,} in "
            f"{path.name}: export it again"
        )
    try:
        with path.open("rb") as opened:
            opened.seek(offset)
            return opened.read(length)
    except OSError as problem:
        raise CheckpointError(f"{path}: can't be read: {paths.reason(problem)}") from problem
