"""The pickle in a file of ``torch.save``, read without running anything that it names.

A pickle is a program that may call any function. Here it can make lists, dictionaries, numbers,
texts and descriptions of tensors; every other class and function is a stand-in that does nothing.
"""

from __future__ import annotations

import pickle
from io import BytesIO
from typing import Any, NamedTuple, TypeGuard

import torch

__all__ = ["FLOATS", "PickledTensor", "Storage", "read_pickle"]

_FLOATS = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
}
_OTHERS = {
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}

FLOATS = frozenset(_FLOATS.values())
"""Types of weights."""

_COMMANDS = frozenset(
    {"ctypes", "importlib", "nt", "os", "posix", "runpy", "shutil", "socket", "subprocess", "sys"}
)
"""Modules that no checkpoint needs: a file that names one is hostile, though nothing would run."""

_LARGEST = 2**48
"""Bound of every size: more is damage."""


class Storage(NamedTuple):
    """Numbers that lie in one member of the file."""

    key: str
    """Name of the member."""
    dtype: torch.dtype


class PickledTensor(NamedTuple):
    """Description of a tensor whose values are still in the file."""

    storage: Storage
    offset: int
    """Place of its first number in its storage."""
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_pickle(program: bytes) -> object:
    """Return what a pickle describes, with :class:`PickledTensor` for tensors.

    Raises:
        pickle.UnpicklingError: it is damaged or hostile; the message begins in small letters.
    """
    try:
        return _Unpickler(BytesIO(program)).load()
    except pickle.UnpicklingError:
        raise
    except Exception as error:  # a damaged pickle may raise anything at all
        reason = f"{type(error).__name__}: {error}".split("\n")[0][:120]
        raise pickle.UnpicklingError(f"it is damaged ({reason})") from error


class _Dictionary(dict[Any, Any]):
    """An ordered dictionary, whose attributes a pickle can't set."""

    __slots__ = ()

    def __setstate__(self, _state: object) -> None:
        """Drop what was set, such as the versions of a state dict's modules."""


class _Inert:
    """A stand-in for an object of a class or a function that is not known here."""

    __slots__ = ()

    def __new__(cls, *_inputs: object, **_options: object) -> _Inert:
        return super().__new__(cls)

    def __init__(self, *_inputs: object, **_options: object) -> None:
        pass

    def __call__(self, *_inputs: object) -> _Inert:
        return self

    def __setstate__(self, _state: object) -> None:
        pass

    def __setitem__(self, _key: object, _value: object) -> None:
        pass

    def append(self, _value: object) -> None:
        """Drop a value."""

    def extend(self, _values: object) -> None:
        """Drop values."""

    def add(self, _value: object) -> None:
        """Drop a value."""


class _Rebuild:
    """A stand-in for PyTorch's functions that make a tensor of a storage: it describes one."""

    __slots__ = ()

    def __call__(
        self, storage: object, offset: object, shape: object, strides: object, *_rest: object
    ) -> PickledTensor:
        starts = (offset,)
        if (
            isinstance(storage, Storage)
            and _are_sizes(starts)
            and _are_sizes(shape)
            and _are_sizes(strides)
            and len(shape) == len(strides)
        ):
            return PickledTensor(storage, starts[0], shape, strides)
        raise pickle.UnpicklingError("it has a tensor of impossible sizes")


class _RebuildParameter:
    """A stand-in for PyTorch's function that makes a parameter of a tensor: it gives the tensor."""

    __slots__ = ()

    def __call__(self, tensor: object, *_rest: object) -> object:
        return tensor


_KNOWN: dict[tuple[str, str], object] = {
    ("collections", "OrderedDict"): _Dictionary,
    ("torch._utils", "_rebuild_tensor"): _Rebuild(),
    ("torch._utils", "_rebuild_tensor_v2"): _Rebuild(),
    ("torch._utils", "_rebuild_parameter"): _RebuildParameter(),
    **{("torch", name): dtype for name, dtype in (_FLOATS | _OTHERS).items()},
}


def _are_sizes(values: object) -> TypeGuard[tuple[int, ...]]:
    return isinstance(values, tuple) and all(type(n) is int and 0 <= n < _LARGEST for n in values)


# Python's own, not its faster twin in C: a pickle can make that one allocate without end.
class _Unpickler(pickle._Unpickler):
    """An unpickler that knows how tensors are described, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a class or function.

        Raises:
            pickle.UnpicklingError: it is one that runs commands.
        """
        if module.partition(".")[0] in _COMMANDS:
            where = f"{module}.{name}"[:60]
            raise pickle.UnpicklingError(f"it names {where!r}, which no weights need")
        return _KNOWN.get((module, name), _Inert)

    def persistent_load(self, pid: object) -> Storage:
        """Return the description of a storage.

        Raises:
            pickle.UnpicklingError: it is not one.
        """
        match pid:
            case ("storage", torch.dtype() as dtype, str(key), *_) if key.isalnum():
                return Storage(key, dtype)
        raise pickle.UnpicklingError("it has a storage of an unknown kind")
