"""Latencies of a bundle's engines: each stage, the whole, and the stages chained on the device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

from tinysr.manifest import Artifact
from tinysr.runtime.backends.tensorrt import TensorRTBackend
from tinysr.runtime.bundle import Bundle
from tinysr.runtime.tensorrt.chain import DeviceChain
from tinysr.runtime.tensorrt.cuda import Cuda
from tinysr.runtime.tensorrt.device import cuda_runtime
from tinysr.stages import WHOLE, StageName

from .latency import EventTimer, GpuLatency, measure
from .rows import GpuRow, make_row

__all__ = ["engine_rows", "tile_shape"]


def engine_rows(bundle: Bundle, precision: str) -> Iterator[GpuRow]:
    """Measure the replay of each engine's CUDA graph, one tile at a time.

    Args:
        bundle: with engines.
        precision: of the engines.
    """
    name = bundle.manifest.source.name
    for artifact in bundle.artifacts("tensorrt"):
        if artifact.precision == precision:
            yield make_row(
                partial(_engine, bundle, artifact),
                model=name,
                stage=artifact.stage,
                method="engine",
                precision=precision,
            )
    yield make_row(
        partial(_chain, bundle, precision),
        model=name,
        stage=WHOLE,
        method="chain of engines",
        precision=precision,
    )


def tile_shape(bundle: Bundle, graph: StageName) -> tuple[int, ...]:
    """Return the shape of a graph's input for one tile."""
    chain, tile = bundle.manifest.chain, bundle.manifest.tile
    side = chain.sides(graph, tile)[0]
    return (1, chain.ends(graph)[0].channels, side, side)


def _engine(bundle: Bundle, artifact: Artifact) -> GpuLatency:
    with TensorRTBackend().open(bundle, artifact) as session, ExitStack() as opened:
        execution = session.execution
        execution.prepare(tile_shape(bundle, artifact.stage))
        timer = EventTimer(execution.cuda, execution.stream)
        opened.callback(timer.close)
        return measure(execution.launch, timer)


def _chain(bundle: Bundle, precision: str) -> GpuLatency:
    backend = TensorRTBackend()
    with ExitStack() as opened:
        names = bundle.manifest.chain.names
        artifacts = (bundle.artifact("tensorrt", stage, precision) for stage in names)
        stages = [opened.enter_context(backend.open(bundle, a)).execution for a in artifacts]
        cuda = Cuda(cuda_runtime())
        chain = DeviceChain(cuda, stages)
        opened.callback(chain.close)
        chain.prepare(tile_shape(bundle, WHOLE))
        timer = EventTimer(cuda, chain.stream)
        opened.callback(timer.close)
        return measure(chain.launch, timer)
