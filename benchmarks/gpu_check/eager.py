"""Latencies of the PyTorch model on the same GPU: as it is, compiled, and as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from tinysr.errors import MissingBackendError, require

from .latency import GpuLatency, TorchTimer, measure
from .rows import GpuRow, make_row

__all__ = ["METHODS", "eager_rows", "make_example", "stage_calls"]

METHODS = ("eager", "torch.compile", "eager with CUDA graph")


def eager_rows(name: str, model: Any, tile: int, precision: str) -> Iterator[GpuRow]:
    """Measure the model's stages and the whole.

    Args:
        name: the model's.
        model: a :class:`tinysr.models.TinySR`; it is moved to the GPU in the precision.
        tile: side of a tile in low-resolution pixels.
        precision: fp16 or fp32.
    """
    for stage in ("encoder", "transformer", "decoder", "upscale"):
        for method in METHODS:
            yield make_row(
                partial(_measure, model, stage, method, tile=tile, precision=precision),
                model=name,
                stage=stage,
                method=method,
                precision=precision,
            )


def stage_calls(model: Any) -> dict[str, Callable[[Any], Any]]:
    """Return each stage as a function of one tensor."""

    def whole(lr: Any) -> Any:
        z = model.encode(lr)
        return model.decode(z - model.predict(z))

    return {
        "encoder": model.encode,
        "transformer": model.predict,
        "decoder": model.decode,
        "upscale": whole,
    }


def make_example(model: Any, stage: str, tile: int) -> Any:
    """Return seeded noise in the shape of a stage's input, in fp32 on the CPU."""
    torch: Any = require("torch", extra="models")
    shape = (1, 3, tile, tile)
    if stage in ("transformer", "decoder"):
        shape = (1, model.config.vae.latent_channels, tile // 2, tile // 2)
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def _measure(model: Any, stage: str, method: str, *, tile: int, precision: str) -> GpuLatency:
    torch: Any = require("torch", extra="models")
    if not torch.cuda.is_available():
        raise MissingBackendError(f"PyTorch {torch.__version__} here has no CUDA")
    dtype = {"fp16": torch.float16, "fp32": torch.float32}[precision]
    source = make_example(model, stage, tile).to("cuda", dtype)
    call = stage_calls(model.to("cuda", dtype))[stage]
    with torch.inference_mode():
        if method == "torch.compile":
            call = torch.compile(call)
        if method == "eager with CUDA graph":
            return measure(_graph(torch, call, source).replay, TorchTimer(torch))
        return measure(lambda: call(source), TorchTimer(torch))


def _graph(torch: Any, call: Callable[[Any], Any], source: Any) -> Any:
    """Record a call; PyTorch wants it run on a side stream before."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            call(source)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call(source)
    return graph
