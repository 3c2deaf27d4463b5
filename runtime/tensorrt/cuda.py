"""CUDA's runtime, as far as engines need it: every call is checked, every buffer has an owner."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysr.errors import MissingBackendError

__all__ = ["Cuda", "DeviceBuffer", "PinnedBuffer"]

Bytes = NDArray[np.uint8]


class Cuda:
    """The calls, on the current device."""

    def __init__(self, runtime: Any) -> None:
        """Take ``cuda.bindings.runtime``, or what stands in for it."""
        self.runtime = runtime

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function and return its one result, or a tuple of them.

        Raises:
            MissingBackendError: it failed; the message has CUDA's name for the reason.
        """
        error, *results = getattr(self.runtime, name)(*arguments)
        if int(error) != 0:
            advice = "the GPU has too little memory" if "Memory" in error.name else "see CUDA"
            raise MissingBackendError(f"{name} failed with {error.name}: {advice}")
        return results[0] if len(results) == 1 else tuple(results)

    def create_stream(self) -> Any:
        """Return a new stream that does not wait for the default one."""
        return self.call("cudaStreamCreateWithFlags", self.runtime.cudaStreamNonBlocking)

    def copy(self, target: int, source: int, size: int, stream: Any) -> None:
        """Copy bytes between host and device, or on the device, when the stream gets there."""
        kind = self.runtime.cudaMemcpyKind.cudaMemcpyDefault
        self.call("cudaMemcpyAsync", target, source, size, kind, stream)

    def wait(self, stream: Any) -> None:
        """Wait until a stream is done."""
        self.call("cudaStreamSynchronize", stream)

    def capture(self, stream: Any, work: Callable[[], None]) -> Any:
        """Record what ``work`` puts into a stream; the graph runs it again without the host."""
        mode = self.runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self.call("cudaStreamBeginCapture", stream, mode)
        with ExitStack() as opened:
            try:
                work()
            finally:  # a stream that is left capturing can't be used again
                graph = self.call("cudaStreamEndCapture", stream)
                opened.callback(self.call, "cudaGraphDestroy", graph)
            return self.call("cudaGraphInstantiate", graph, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class DeviceBuffer:
    """Memory of the device."""

    cuda: Cuda
    address: int
    size: int

    @staticmethod
    def of(cuda: Cuda, size: int) -> DeviceBuffer:
        """Allocate ``size`` bytes."""
        return DeviceBuffer(cuda=cuda, address=int(cuda.call("cudaMalloc", size)), size=size)

    def free(self) -> None:
        """Give it back."""
        self.cuda.call("cudaFree", self.address)


@dataclass(frozen=True, kw_only=True, slots=True)
class PinnedBuffer:
    """Memory of the host that the device copies from and to by itself."""

    cuda: Cuda
    address: int
    size: int

    @staticmethod
    def of(cuda: Cuda, size: int) -> PinnedBuffer:
        """Allocate ``size`` bytes."""
        address = int(cuda.call("cudaHostAlloc", size, cuda.runtime.cudaHostAllocDefault))
        return PinnedBuffer(cuda=cuda, address=address, size=size)

    def array(self, dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
        """Return its beginning as an array; valid until it is freed."""
        raw: Bytes = np.ctypeslib.as_array((ctypes.c_uint8 * self.size).from_address(self.address))
        count = int(np.prod(shape)) * np.dtype(dtype).itemsize
        part: NDArray[Any] = raw[:count].view(dtype)
        return part.reshape(shape)

    def free(self) -> None:
        """Give it back."""
        self.cuda.call("cudaFreeHost", self.address)
