"""The three stages of one tile, from image to image without leaving the device."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysr.errors import BundleError, MissingBackendError, UnsupportedError
from tinysr.manifest import Stage

from .cuda import Cuda, DeviceBuffer, PinnedBuffer
from .execution import Execution

__all__ = ["STEP_PTX", "DeviceChain", "StepKernel", "explain_apart"]

Array = NDArray[np.floating[Any]]

STEP_PTX = """\
.version 7.0
.target sm_70
.address_size 64
.visible .entry step(.param .u64 latents, .param .u64 velocity, .param .u32 count)
{
    .reg .pred %done;
    .reg .b32 %r<5>;
    .reg .b64 %a<4>;
    .reg .f32 %f<3>;
    mov.u32 %r0, %ctaid.x;
    mov.u32 %r1, %ntid.x;
    mov.u32 %r2, %tid.x;
    mad.lo.u32 %r3, %r0, %r1, %r2;
    ld.param.u32 %r4, [count];
    setp.ge.u32 %done, %r3, %r4;
    @%done ret;
    ld.param.u64 %a0, [latents];
    ld.param.u64 %a1, [velocity];
    cvta.to.global.u64 %a0, %a0;
    cvta.to.global.u64 %a1, %a1;
    mul.wide.u32 %a2, %r3, 4;
    add.u64 %a0, %a0, %a2;
    add.u64 %a1, %a1, %a2;
    ld.global.f32 %f0, [%a0];
    ld.global.f32 %f1, [%a1];
    sub.f32 %f2, %f0, %f1;
    st.global.f32 [%a0], %f2;
    ret;
}
"""
"""z - v in place, in fp32: the one step between transformer and decoder. The driver compiles it."""

_BLOCK = 256


class StepKernel:
    """The subtraction, loaded through CUDA's driver interface."""

    def __init__(self, driver: Any) -> None:
        """Take ``cuda.bindings.driver``, or what stands in for it.

        Raises:
            MissingBackendError: the driver does not compile it.
        """
        self._driver = driver
        self._module = self._call("cuModuleLoadData", STEP_PTX.encode() + b"\0")
        with ExitStack() as opened:
            opened.callback(self.close)
            self._function = self._call("cuModuleGetFunction", self._module, b"step")
            opened.pop_all()

    def enqueue(self, latents: int, velocity: int, count: int, stream: Any) -> None:
        """Put ``latents -= velocity`` of ``count`` floats into a stream."""
        blocks = -(-count // _BLOCK)
        kinds = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)
        arguments = ((latents, velocity, count), kinds)
        grid = (blocks, 1, 1, _BLOCK, 1, 1)
        self._call("cuLaunchKernel", self._function, *grid, 0, stream, arguments, 0)

    def close(self) -> None:
        """Unload it."""
        self._call("cuModuleUnload", self._module)

    def _call(self, name: str, *arguments: Any) -> Any:
        error, *results = getattr(self._driver, name)(*arguments)
        if int(error) != 0:
            raise MissingBackendError(f"{name} failed with {error.name}: see CUDA")
        return results[0] if results else None


def explain_apart(stages: Mapping[Stage, Execution]) -> str:
    """Return why encoder, transformer and decoder can't be one chain; or "".

    The later stages' inputs take the place of what the encoder writes. An encoder that was built
    for small images leaves too little of it.
    """
    room = stages["encoder"].sink.size
    for stage in (stages["transformer"], stages["decoder"]):
        if stage.source.size > room:
            return (
                f"{stage.artifact.label}: expected inputs of at most the {room} bytes that the "
                f"encoder writes, found {stage.source.size}: build with larger --engine-sides"
            )
    return ""


class DeviceChain:
    """Encoder, transformer, step and decoder as one CUDA graph over shared buffers.

    The latents stay where the encoder writes them: the transformer reads them there, the step
    subtracts in place, and the decoder reads the difference.
    """

    def __init__(self, cuda: Cuda, stages: Mapping[Stage, Execution], driver: Any) -> None:
        """Join the stages; whoever opened them closes them, after the chain.

        Args:
            cuda: the device.
            stages: encoder, transformer and decoder.
            driver: see :class:`StepKernel`.

        Raises:
            UnsupportedError: they can't be joined, as :func:`explain_apart` says.
            MissingBackendError: the driver does not compile the step.
        """
        if problem := explain_apart(stages):
            raise UnsupportedError(problem)
        self._cuda = cuda
        self._encoder, self._transformer, self._decoder = (
            stages["encoder"], stages["transformer"], stages["decoder"]
        )  # fmt: skip
        latents = self._encoder.sink
        self._graph: Any = None
        self._shapes: tuple[tuple[int, ...], ...] = ()
        self._host_in: PinnedBuffer | None = None
        self._host_out: PinnedBuffer | None = None
        self._step = StepKernel(driver)
        with ExitStack() as opened:
            opened.callback(self._step.close)
            for stage in (self._transformer, self._decoder):
                opened.callback(stage.unbind)
                stage.bind(latents.address, stage.sink.address)
            opened.callback(self._drop)
            self._opened = opened.pop_all()

    @property
    def source(self) -> DeviceBuffer:
        """Where the image is read from."""
        return self._encoder.source

    @property
    def stream(self) -> Any:
        """What everything is put into."""
        return self._encoder.stream

    def prepare(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Get ready for one tile ``[N, 3, T, T]``, and return the result's shape.

        Raises:
            BundleError: the stages don't fit each other at this size.
        """
        if self._shapes and self._shapes[0] == shape:
            return self._shapes[-1]
        latents = self._encoder.prepare(shape)
        velocity = self._transformer.prepare(latents)
        if velocity != latents:
            raise BundleError(
                f"expected a velocity of the latents' shape {list(latents)}, found {list(velocity)}"
            )
        result = self._decoder.prepare(latents)
        self._drop()
        count = int(np.prod(latents))
        self._graph = self._cuda.capture(self.stream, lambda: self.enqueue(count))
        self._host_in = PinnedBuffer.of(self._cuda, 4 * int(np.prod(shape)))
        self._host_out = PinnedBuffer.of(self._cuda, 4 * int(np.prod(result)))
        self._shapes = (shape, latents, result)
        return result

    def enqueue(self, count: int) -> None:
        """Put all stages into the stream, ``count`` being the latents' values."""
        latents, velocity = self._encoder.sink.address, self._transformer.sink.address
        self._encoder.enqueue(self.stream)
        self._transformer.enqueue(self.stream)
        self._step.enqueue(latents, velocity, count, self.stream)
        self._decoder.enqueue(self.stream)

    def launch(self) -> None:
        """Run the graph once; buffers are as they are."""
        self._cuda.call("cudaGraphLaunch", self._graph, self.stream)

    def run(self, image: Array) -> Array:
        """Map one tile ``[N, 3, T, T]`` to ``[N, 3, 4T, 4T]``."""
        result = self.prepare(image.shape)
        if self._host_in is None or self._host_out is None:
            raise BundleError("the chain of stages is closed")
        self._host_in.array(np.float32, image.shape)[...] = image
        copy = self._cuda.copy
        copy(self.source.address, self._host_in.address, image.nbytes, self.stream)
        self.launch()
        out = self._host_out.array(np.float32, result)
        copy(self._host_out.address, self._decoder.sink.address, out.nbytes, self.stream)
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
