"""An engine at work: pinned buffers, one stream, and a CUDA graph for each shape."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import ExitStack
from functools import partial
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tinysr.errors import BundleError
from tinysr.facts import TensorRTFacts
from tinysr.manifest import Artifact

from .cuda import Cuda, DeviceBuffer, PinnedBuffer
from .engine import Engine
from .runtime_cache import RuntimeCache

__all__ = ["Execution"]

Array = NDArray[np.floating[Any]]
Shape = tuple[int, ...]
Buffer = TypeVar("Buffer", DeviceBuffer, PinnedBuffer)

_GRAPHS = 8
"""Shapes whose graphs are kept. Images of one folder have few; windows of one image have one."""


class Execution:
    """One engine's context. Its buffers have the largest size that the engine takes."""

    def __init__(
        self, artifact: Artifact, engine: Engine, cuda: Cuda, cache: RuntimeCache | None = None
    ) -> None:
        """Make the context and allocate its buffers.

        Raises:
            MissingBackendError: the device has too little memory.
        """
        self.artifact, self.cuda = artifact, cuda
        (into,), (out,) = artifact.inputs, artifact.outputs
        self._into, self._out = into, out
        self._engine = engine
        self._graphs: OrderedDict[Shape, Any] = OrderedDict()
        self._shape: Shape = ()
        self._bound = (0, 0)
        with ExitStack() as opened:
            self.stream = cuda.create_stream()
            opened.callback(cuda.call, "cudaStreamDestroy", self.stream)
            self._context = self._new_context(cache, opened)
            sizes = self._count_largest()
            self.source, self.sink = (_own(opened, DeviceBuffer.of(cuda, size)) for size in sizes)
            self._host_in, self._host_out = (
                _own(opened, PinnedBuffer.of(cuda, size)) for size in sizes
            )
            opened.callback(self._drop_graphs)
            self.unbind()
            self._opened = opened.pop_all()

    def run(self, array: Array) -> Array:
        """Copy in, run, copy out.

        Args:
            array: in the input's dtype, of a shape that the engine takes.

        Raises:
            BundleError: the engine does not take the shape, or fails.
        """
        shape = self.prepare(array.shape)
        self._host_in.array(self._into.dtype, array.shape)[...] = array
        copy, stream = self.cuda.copy, self.stream
        source, sink = self._bound
        copy(source, self._host_in.address, array.nbytes, stream)
        self.launch()
        result = self._host_out.array(self._out.dtype, shape)
        copy(self._host_out.address, sink, result.nbytes, stream)
        self.cuda.wait(stream)
        return np.array(result)

    def prepare(self, shape: Shape) -> Shape:
        """Get ready for an input's shape, and return the output's.

        The first time, the engine runs once outside of a graph: that is when it allocates, and
        TensorRT-RTX compiles its kernels.

        Raises:
            BundleError: the engine does not take the shape.
        """
        context = self._context
        if not context.set_input_shape(self._into.name, shape):
            raise BundleError(
                f"{self.artifact.label}: expected '{self._into.name}' in the shapes "
                f"{self.artifact.facts(TensorRTFacts).shapes_text}, found {list(shape)}"
            )
        self._shape = shape
        if shape not in self._graphs:
            self.enqueue(self.stream)
            self.cuda.wait(self.stream)
            work = partial(self.enqueue, self.stream)
            self._graphs[shape] = self.cuda.capture(self.stream, work)
            if len(self._graphs) > _GRAPHS:
                self.cuda.call("cudaGraphExecDestroy", self._graphs.popitem(last=False)[1])
        self._graphs.move_to_end(shape)
        return tuple(int(side) for side in context.get_tensor_shape(self._out.name))

    def launch(self) -> None:
        """Run the graph of the shape that was prepared; buffers are as they are."""
        self.cuda.call("cudaGraphLaunch", self._graphs[self._shape], self.stream)

    def enqueue(self, stream: Any) -> None:
        """Put the engine into a stream, kernel by kernel.

        Raises:
            BundleError: TensorRT refuses; the message has its words.
        """
        if not self._context.execute_async_v3(int(stream)):
            said = self._engine.messages.first
            raise BundleError(f"{self.artifact.label}: {self._engine.library.title} failed: {said}")

    def bind(self, source: int, sink: int) -> None:
        """Read from and write to other memory of the device; graphs are recorded anew.

        Args:
            source: an address with room for the largest input.
            sink: an address with room for the largest output.
        """
        self._drop_graphs()
        self._bound = (source, sink)
        for name, address in ((self._into.name, source), (self._out.name, sink)):
            if not self._context.set_tensor_address(name, address):
                raise BundleError(f"{self.artifact.label}: expected a graph with '{name}'")

    def unbind(self) -> None:
        """Read from and write to its own buffers."""
        self.bind(self.source.address, self.sink.address)

    def close(self) -> None:
        """Free the context, the engine, the buffers and the stream."""
        self._opened.close()
        del self._context, self._engine  # they hold memory of the device

    def _new_context(self, cache: RuntimeCache | None, opened: ExitStack) -> Any:
        engine = self._engine.engine
        if self.artifact.facts(TensorRTFacts).weight_streaming:
            engine.weight_streaming_budget_v2 = engine.get_weight_streaming_automatic_budget()
        if cache is None:
            context = engine.create_execution_context()
        else:
            config = cache.attach(self._engine)
            opened.callback(cache.save)
            context = engine.create_execution_context(config)
        if context is None:
            raise BundleError(
                f"{self.artifact.label}: {self._engine.library.title} can't prepare it "
                f"({self._engine.messages.first})"
            )
        return context

    def _count_largest(self) -> tuple[int, int]:
        """Return the bytes of the largest input and of its output."""
        engine, name = self._engine.engine, self._into.name
        shape = tuple(int(side) for side in engine.get_tensor_profile_shape(name, 0)[2])
        if not self._context.set_input_shape(name, shape):
            raise BundleError(f"{self.artifact.label}: its largest shape {list(shape)} is refused")
        out = self._context.get_tensor_shape(self._out.name)
        return _bytes(shape, self._into.dtype), _bytes(out, self._out.dtype)

    def _drop_graphs(self) -> None:
        while self._graphs:
            self.cuda.call("cudaGraphExecDestroy", self._graphs.popitem()[1])


def _own(opened: ExitStack, buffer: Buffer) -> Buffer:
    opened.callback(buffer.free)
    return buffer


def _bytes(shape: Any, dtype: str) -> int:
    return int(np.prod([int(side) for side in shape])) * np.dtype(dtype).itemsize
