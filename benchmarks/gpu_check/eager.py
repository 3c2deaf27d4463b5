"""Latencies of the PyTorch model on the same GPU: as it is, compiled, and as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from tinysr.errors import MissingBackendError, require

from .latency import GpuLatency, TorchTimer, measure
from .rows import GpuRow, make_row

__all__ = ["METHODS", "eager_rows", "make_example", "stage_call"]

METHODS = ("eager", "torch.compile", "eager with CUDA graph")


def eager_rows(name: str, model: Any, tile: int, precision: str) -> Iterator[GpuRow]:
    """Measure the model's stages and the whole.

    Args:
        name: the model's.
        model: a :class:`tinysr.models.OneStepModel`; it is moved to the GPU in the precision.
        tile: side of a tile in low-resolution pixels.
        precision: fp16 or fp32.
    """
    for stage in model.chain(tile).graphs:
        for method in METHODS:
            yield make_row(
                partial(_measure, model, stage, method, tile=tile, precision=precision),
                model=name,
                stage=stage,
                method=method,
                precision=precision,
            )


def stage_call(model: Any, graph: str, tile: int) -> Callable[[Any], Any]:
    """Return a stage, or the whole, as a function of one tensor."""
    names = model.chain(tile).names
    stages = (graph,) if graph in names else names

    def call(x: Any) -> Any:
        for stage in stages:
            x = model.run_stage(stage, x)
        return x

    return call


def make_example(model: Any, graph: str, tile: int) -> Any:
    """Return seeded noise in the shape of a graph's input, in fp32 on the CPU."""
    torch: Any = require("torch", extra="models")
    chain = model.chain(tile)
    side = chain.sides(graph, tile)[0]
    shape = (1, chain.ends(graph)[0].channels, side, side)
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def _measure(model: Any, stage: str, method: str, *, tile: int, precision: str) -> GpuLatency:
    torch: Any = require("torch", extra="models")
    if not torch.cuda.is_available():
        raise MissingBackendError(f"PyTorch {torch.__version__} here has no CUDA")
    dtype = {"fp16": torch.float16, "fp32": torch.float32}[precision]
    source = make_example(model, stage, tile).to("cuda", dtype)
    call = stage_call(model.to("cuda", dtype), stage, tile)
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
