"""A make-believe NVIDIA machine: CUDA's and TensorRT-RTX's Python interfaces over plain memory.

It stands in where logic is tested: who allocates, copies, waits and frees what, in which order.
Nothing that runs on it says anything of TensorRT or of a GPU. Work in a stream is done only when
somebody waits for it, so that a wait that was forgotten shows.
"""

# ruff: noqa: N802, N815  the names are CUDA's
from __future__ import annotations

import ctypes
import importlib.machinery
import math
import sys
import time
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

Work = Callable[[], None]


class Error(IntEnum):
    cudaSuccess = 0
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35


class Device:
    """``cuda.bindings.runtime`` and ``cuda.bindings.driver`` in one."""

    cudaError_t = Error
    cudaStreamNonBlocking = 1
    cudaHostAllocDefault = 0
    cudaMemcpyKind = types.SimpleNamespace(cudaMemcpyDefault=4)
    cudaStreamCaptureMode = types.SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)

    def __init__(self, memory: int = 2**30, count: int = 1) -> None:
        self.memory, self.count = memory, count
        self.held: dict[int, Any] = {}
        self.queues: dict[int, list[Work]] = {}
        self.capturing: dict[int, list[Work]] = {}
        self.graphs: dict[int, list[Work]] = {}
        self.calls: list[str] = []
        self._next = 1

    def __getattribute__(self, name: str) -> Any:
        if name.startswith(("cuda", "cu")) and not name.startswith(("cudaError", "cudaMemcpyK")):
            object.__getattribute__(self, "calls").append(name)
        return object.__getattribute__(self, name)

    def _handle(self) -> int:
        self._next += 1
        return self._next

    def cudaGetDeviceCount(self) -> tuple[Any, ...]:
        return (Error.cudaSuccess, self.count)

    def cudaGetDeviceProperties(self, _: int) -> tuple[Any, ...]:
        made = types.SimpleNamespace(name=b"Pretend", major=8, minor=6, totalGlobalMem=self.memory)
        return Error.cudaSuccess, made

    def cudaDriverGetVersion(self) -> tuple[Any, ...]:
        return Error.cudaSuccess, 13000

    def cudaMalloc(self, size: int) -> tuple[Any, ...]:
        if sum(len(buffer) for buffer in self.held.values()) + size > self.memory:
            return Error.cudaErrorMemoryAllocation, None
        buffer = (ctypes.c_uint8 * size)()
        self.held[ctypes.addressof(buffer)] = buffer
        return Error.cudaSuccess, ctypes.addressof(buffer)

    def cudaHostAlloc(self, size: int, _: int) -> tuple[Any, ...]:
        return self.cudaMalloc(size)

    def cudaFree(self, address: int) -> tuple[Any, ...]:
        del self.held[address]
        return (Error.cudaSuccess,)

    cudaFreeHost = cudaFree

    def cudaStreamCreateWithFlags(self, _: int) -> tuple[Any, ...]:
        stream = self._handle()
        self.queues[stream] = []
        return Error.cudaSuccess, stream

    def cudaStreamDestroy(self, stream: int) -> tuple[Any, ...]:
        del self.queues[stream]
        return (Error.cudaSuccess,)

    def enqueue(self, stream: int, work: Work) -> None:
        self.capturing.get(stream, self.queues[stream]).append(work)

    def cudaMemcpyAsync(
        self, to: int, source: int, size: int, _kind: int, stream: int
    ) -> tuple[Any, ...]:
        self.enqueue(stream, lambda: ctypes.memmove(to, source, size) and None)
        return (Error.cudaSuccess,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[Any, ...]:
        work, self.queues[stream] = self.queues[stream], []
        for step in work:
            step()
        return (Error.cudaSuccess,)

    def cudaStreamBeginCapture(self, stream: int, _: int) -> tuple[Any, ...]:
        self.capturing[stream] = []
        return (Error.cudaSuccess,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[Any, ...]:
        return Error.cudaSuccess, self.capturing.pop(stream)

    def cudaGraphInstantiate(self, graph: list[Work], _: int) -> tuple[Any, ...]:
        handle = self._handle()
        self.graphs[handle] = list(graph)
        return Error.cudaSuccess, handle

    def cudaGraphDestroy(self, _: Any) -> tuple[Any, ...]:
        return (Error.cudaSuccess,)

    def cudaGraphLaunch(self, graph: int, stream: int) -> tuple[Any, ...]:
        for work in self.graphs[graph]:
            self.enqueue(stream, work)
        return (Error.cudaSuccess,)

    def cudaGraphExecDestroy(self, graph: int) -> tuple[Any, ...]:
        del self.graphs[graph]
        return (Error.cudaSuccess,)

    def cudaEventCreate(self) -> tuple[Any, ...]:
        return Error.cudaSuccess, [0.0]

    def cudaEventDestroy(self, _: list[float]) -> tuple[Any, ...]:
        return (Error.cudaSuccess,)

    def cudaEventRecord(self, event: list[float], stream: int) -> tuple[Any, ...]:
        self.enqueue(stream, lambda: event.__setitem__(0, time.perf_counter()))
        self.event_stream = stream
        return (Error.cudaSuccess,)

    def cudaEventSynchronize(self, _: list[float]) -> tuple[Any, ...]:
        return self.cudaStreamSynchronize(self.event_stream)

    def cudaEventElapsedTime(self, start: list[float], stop: list[float]) -> tuple[Any, ...]:
        return Error.cudaSuccess, 1e3 * (stop[0] - start[0])

    def cuModuleLoadData(self, ptx: bytes) -> tuple[Any, ...]:
        assert ptx.endswith(b"\0")
        return Error.cudaSuccess, "module"

    def cuModuleGetFunction(self, _: str, name: bytes) -> tuple[Any, ...]:
        return Error.cudaSuccess, name

    def cuModuleUnload(self, _: str) -> tuple[Any, ...]:
        return (Error.cudaSuccess,)

    def cuLaunchKernel(self, function: bytes, *arguments: Any) -> tuple[Any, ...]:
        *grid, _shared, stream, ((latents, velocity, count), _), _extra = arguments
        assert function == b"step"
        assert math.prod(grid) >= count
        floats = ctypes.c_float * count

        def subtract() -> None:
            z, v = (np.ctypeslib.as_array(floats.from_address(a)) for a in (latents, velocity))
            z -= v

        self.enqueue(stream, subtract)
        return (Error.cudaSuccess,)


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


def install(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the make-believe modules in place of the real ones."""
    rtx: Any = types.ModuleType("tensorrt_rtx")
    rtx.__spec__ = importlib.machinery.ModuleSpec("tensorrt_rtx", None)
    rtx.ILogger = _Logger
    rtx.Runtime = lambda log: _Runtime(library, log)
    rtx.EngineValidity = Enum("EngineValidity", ["VALID", "SUBOPTIMAL", "INVALID"])
    rtx.EngineInvalidityDiagnostics = IntEnum(
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
    rtx.DynamicShapesKernelSpecializationStrategy = Enum("Strategy", ["LAZY", "EAGER", "NONE"])
    library_module = rtx
    _Runtime.module = library_module
    bindings: Any = types.ModuleType("cuda.bindings")
    bindings.runtime = bindings.driver = library.device
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", rtx)
    monkeypatch.setitem(sys.modules, "cuda.bindings", bindings)
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", library.device)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "cuda.bindings.driver", library.device)  # type: ignore[arg-type]


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
        known = self.library.compiled
        return types.SimpleNamespace(
            deserialize=lambda blob: known.append(blob) or True, serialize=lambda: b"kernels"
        )

    def set_runtime_cache(self, cache: Any) -> None:
        self.cache = cache


class _Context:
    def __init__(self, library: Library, session: Any) -> None:
        self.library, self.session = library, session
        self.shape: tuple[int, ...] = ()
        self.addresses: dict[str, int] = {}

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
