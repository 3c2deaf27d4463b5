"""A make-believe TensorRT-RTX on the device of `fake_cuda.py`: engines run ONNX graphs.

Nothing that runs on it says anything of TensorRT.
"""

from __future__ import annotations

import ctypes
import importlib.machinery
import math
import sys
import types
import weakref
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from tests.support.fake_cuda import Device

__all__ = ["Device", "Library", "install"]


@dataclass
class Library:
    """What is asked of TensorRT-RTX: engines are files that name an ONNX graph beside them."""

    device: Device
    folder: Path
    largest: dict[str, tuple[int, ...]]
    """The largest input shape, by the input's name and number of channels."""
    invalid: int = 0
    """Diagnostics that an engine's header gets."""
    broken: bool = False
    compiled: list[bytes] = field(default_factory=list)
    """Compiled kernels that were handed to a runtime cache."""
    alive: weakref.WeakSet[Any] = field(default_factory=weakref.WeakSet)
    """Engines and contexts that somebody still holds: on a GPU they take memory."""


EngineValidity = Enum("EngineValidity", ["VALID", "SUBOPTIMAL", "INVALID"])
Strategy = Enum("Strategy", ["LAZY", "EAGER", "NONE"])
Diagnostics = IntEnum(
    "Diagnostics",
    {
        "VERSION_MISMATCH": 1,
        "UNSUPPORTED_CC": 2,
        "OLD_CUDA_DRIVER": 4,
        "OLD_CUDA_RUNTIME": 8,
        "INSUFFICIENT_GPU_MEMORY": 16,
        "MALFORMED_ENGINE": 32,
        "CUDA_ERROR": 64,
    },
)


def install(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the make-believe modules in place of the real ones."""
    rtx: Any = types.ModuleType("tensorrt_rtx")
    rtx.__spec__ = importlib.machinery.ModuleSpec("tensorrt_rtx", None)
    rtx.ILogger = _Logger
    rtx.Runtime = lambda log: _Runtime(library, log)
    rtx.EngineValidity = EngineValidity
    rtx.EngineInvalidityDiagnostics = Diagnostics
    rtx.DynamicShapesKernelSpecializationStrategy = Strategy
    library_module = rtx
    _Runtime.module = library_module
    bindings: Any = types.ModuleType("cuda.bindings")
    bindings.runtime = library.device
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", rtx)
    monkeypatch.setitem(sys.modules, "cuda.bindings", bindings)
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", library.device)


class _Logger:
    class Severity(IntEnum):
        ERROR = 1


class _Runtime:
    module: Any = None
    engine_header_size = 8

    def __init__(self, library: Library, log: Any) -> None:
        self.library, self.log = library, log

    def get_engine_validity(self, header: bytes) -> tuple[Any, int]:
        assert len(header) <= self.engine_header_size
        validity = self.module.EngineValidity
        bad = self.library.invalid
        return (validity.INVALID if bad else validity.VALID), bad

    def deserialize_cuda_engine(self, data: bytes) -> Any:
        if self.library.broken:
            self.log.log(_Logger.Severity.ERROR, "magic tag does not match")
            return None
        return _Engine(self.library, self.library.folder / data.decode())


class _Engine:
    def __init__(self, library: Library, graph: Path) -> None:
        self.library = library
        self.session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        library.alive.add(self)

    def create_runtime_config(self) -> Any:
        return _Config(self.library)

    def create_execution_context(self, config: Any = None) -> Any:
        assert config is None or config.cache is not None
        return _Context(self.library, self.session)

    def get_tensor_profile_shape(self, name: str, _: int) -> list[tuple[int, ...]]:
        port = self.session.get_inputs()[0]
        return [(), (), self.library.largest[f"{name} {port.shape[2]}"]]


class _Config:
    def __init__(self, library: Library) -> None:
        self.library, self.cache = library, None

    def create_runtime_cache(self) -> Any:
        def deserialize(blob: bytes) -> bool:
            self.library.compiled.append(blob)
            return True

        return types.SimpleNamespace(deserialize=deserialize, serialize=lambda: b"kernels")

    def set_runtime_cache(self, cache: Any) -> None:
        self.cache = cache


class _Context:
    def __init__(self, library: Library, session: Any) -> None:
        self.library, self.session = library, session
        self.shape: tuple[int, ...] = ()
        self.addresses: dict[str, int] = {}
        library.alive.add(self)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        port = self.session.get_inputs()[0]
        assert name == port.name
        most = self.library.largest[f"{name} {port.shape[2]}"]
        self.shape = tuple(shape)
        return len(shape) == len(most) and all(a <= b for a, b in zip(shape, most, strict=True))

    def get_tensor_shape(self, _: str) -> tuple[int, ...]:
        result = self._compute(np.zeros(self.shape, np.float32))
        return tuple(result.shape)

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def execute_async_v3(self, stream: int) -> bool:
        source = self.addresses[self.session.get_inputs()[0].name]
        sink = self.addresses[self.session.get_outputs()[0].name]
        shape = self.shape

        def work() -> None:
            count = math.prod(shape)
            read = np.ctypeslib.as_array((ctypes.c_float * count).from_address(source))
            result = np.ascontiguousarray(self._compute(read.reshape(shape).copy()))
            ctypes.memmove(sink, result.ctypes.data, result.nbytes)

        self.library.device.enqueue(stream, work)
        return True

    def _compute(self, array: np.ndarray) -> np.ndarray:
        result: np.ndarray = self.session.run(None, {self.session.get_inputs()[0].name: array})[0]
        return result
