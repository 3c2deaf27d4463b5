"""A make-believe NVIDIA device: CUDA's Python interface over plain memory.

It stands in where logic is tested: who allocates, copies, waits and frees what, in which order.
Nothing that runs on it says anything of TensorRT or of a GPU. Work in a stream is done only when
somebody waits for it, so that a wait that was forgotten shows.
"""

# ruff: noqa: N802, N815  the names are CUDA's
from __future__ import annotations

import ctypes
import time
import types
from collections.abc import Callable
from enum import IntEnum
from typing import Any

Work = Callable[[], object]


class Error(IntEnum):
    cudaSuccess = 0
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35
    cudaErrorUnknown = 999


GIVES_BACK = ("Free", "Destroy", "EndCapture")
"""In the names of calls that :attr:`Device.fails_at` spares: an error in one of them is no reason
to hold anything."""


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
        self.recorded: set[int] = set()
        self.events: set[int] = set()
        self.calls: list[str] = []
        self.fails_at: int | None = None
        """Calls that may fail and don't, before the one that does; None if none does."""
        self._next = 1

    def __getattribute__(self, name: str) -> Any:
        found = object.__getattribute__(self, name)
        if not name.startswith("cu") or not isinstance(found, types.MethodType):
            return found
        self.calls.append(name)
        if self.fails_at is None or any(word in name for word in GIVES_BACK):
            return found
        self.fails_at -= 1
        return (lambda *_: (Error.cudaErrorUnknown, None)) if self.fails_at == -1 else found

    @property
    def open(self) -> dict[str, int]:
        """Return how many handles of each kind nobody gave back, where there are any."""
        kinds = {
            "buffers": self.held, "streams": self.queues, "graphs": self.graphs,
            "recordings": self.recorded, "events": self.events,
        }  # fmt: skip
        return {kind: len(handles) for kind, handles in kinds.items() if handles}

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
        self.enqueue(stream, lambda: ctypes.memmove(to, source, size))
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
        work = self.capturing.pop(stream)
        self.recorded.add(id(work))
        return Error.cudaSuccess, work

    def cudaGraphInstantiate(self, graph: list[Work], _: int) -> tuple[Any, ...]:
        handle = self._handle()
        self.graphs[handle] = list(graph)
        return Error.cudaSuccess, handle

    def cudaGraphDestroy(self, graph: list[Work]) -> tuple[Any, ...]:
        self.recorded.remove(id(graph))
        return (Error.cudaSuccess,)

    def cudaGraphLaunch(self, graph: int, stream: int) -> tuple[Any, ...]:
        for work in self.graphs[graph]:
            self.enqueue(stream, work)
        return (Error.cudaSuccess,)

    def cudaGraphExecDestroy(self, graph: int) -> tuple[Any, ...]:
        del self.graphs[graph]
        return (Error.cudaSuccess,)

    def cudaEventCreate(self) -> tuple[Any, ...]:
        event = [0.0]
        self.events.add(id(event))
        return Error.cudaSuccess, event

    def cudaEventDestroy(self, event: list[float]) -> tuple[Any, ...]:
        self.events.remove(id(event))
        return (Error.cudaSuccess,)

    def cudaEventRecord(self, event: list[float], stream: int) -> tuple[Any, ...]:
        self.enqueue(stream, lambda: event.__setitem__(0, time.perf_counter()))
        self.event_stream = stream
        return (Error.cudaSuccess,)

    def cudaEventSynchronize(self, _: list[float]) -> tuple[Any, ...]:
        return self.cudaStreamSynchronize(self.event_stream)

    def cudaEventElapsedTime(self, start: list[float], stop: list[float]) -> tuple[Any, ...]:
        return Error.cudaSuccess, 1e3 * (stop[0] - start[0])
