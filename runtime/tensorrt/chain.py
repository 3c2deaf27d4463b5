"""The stages of one tile, from image to image without leaving the device."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysr.errors import BundleError

from .cuda import Cuda, DeviceBuffer, PinnedBuffer
from .execution import Execution

__all__ = ["DeviceChain"]

Array = NDArray[np.floating[Any]]


class DeviceChain:
    """All stages as one CUDA graph: each reads where the one before writes."""

    def __init__(self, cuda: Cuda, stages: Sequence[Execution]) -> None:
        """Join the stages; whoever opened them closes them, after the chain.

        Args:
            cuda: the device.
            stages: in their order.
        """
        self._cuda, self._stages = cuda, tuple(stages)
        self._graph: Any = None
        self._shapes: tuple[tuple[int, ...], ...] = ()
        self._host_in: PinnedBuffer | None = None
        self._host_out: PinnedBuffer | None = None
        with ExitStack() as opened:
            # What two stages share is the larger of their buffers: each still runs alone in it.
            shared = [
                max(before.sink, stage.source, key=lambda buffer: buffer.size).address
                for before, stage in pairwise(self._stages)
            ]
            sources = [self._stages[0].source.address, *shared]
            sinks = [*shared, self._stages[-1].sink.address]
            for stage, source, sink in zip(self._stages, sources, sinks, strict=True):
                opened.callback(stage.unbind)
                stage.bind(source, sink)
            opened.callback(self._drop)
            self._opened = opened.pop_all()

    @property
    def source(self) -> DeviceBuffer:
        """Buffer that the image is read from."""
        return self._stages[0].source

    @property
    def stream(self) -> Any:
        """Stream that everything is put into."""
        return self._stages[0].stream

    def prepare(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Get ready for one tile ``[N, 3, T, T]``, and return the result's shape.

        Raises:
            BundleError: the stages don't fit each other at this size.
        """
        if self._shapes and self._shapes[0] == shape:
            return self._shapes[-1]
        shapes = [shape]
        for stage in self._stages:
            shapes.append(stage.prepare(shapes[-1]))
        self._drop()
        self._graph = self._cuda.capture(self.stream, self.enqueue)
        self._host_in = PinnedBuffer.of(self._cuda, 4 * int(np.prod(shape)))
        self._host_out = PinnedBuffer.of(self._cuda, 4 * int(np.prod(shapes[-1])))
        self._shapes = (shape, shapes[-1])
        return shapes[-1]

    def enqueue(self) -> None:
        """Put all stages into the stream."""
        for stage in self._stages:
            stage.enqueue(self.stream)

    def launch(self) -> None:
        """Run the graph once; buffers are as they are."""
        self._cuda.call("cudaGraphLaunch", self._graph, self.stream)

    def run(self, image: Array) -> Array:
        """Map one tile ``[N, 3, T, T]`` to its result."""
        result = self.prepare(image.shape)
        if self._host_in is None or self._host_out is None:
            raise BundleError("the chain of stages is closed")
        self._host_in.array(np.float32, image.shape)[...] = image
        copy = self._cuda.copy
        copy(self.source.address, self._host_in.address, image.nbytes, self.stream)
        self.launch()
        out = self._host_out.array(np.float32, result)
        copy(self._host_out.address, self._stages[-1].sink.address, out.nbytes, self.stream)
        self._cuda.wait(self.stream)
        return out.copy()

    def close(self) -> None:
        """Free what is the chain's own, and give the stages their own buffers back."""
        self._opened.close()

    def _drop(self) -> None:
        if self._graph is not None:
            self._cuda.call("cudaGraphExecDestroy", self._graph)
        for buffer in (self._host_in, self._host_out):
            if buffer is not None:
                buffer.free()
        self._graph = self._host_in = self._host_out = None
        self._shapes = ()
