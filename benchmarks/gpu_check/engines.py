"""Latencies of a bundle's engines: each stage, the whole, and the stages chained on the device."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

from tinysr.manifest import Artifact, Stage
from tinysr.runtime.backends.tensorrt import TensorRTBackend
from tinysr.runtime.bundle import Bundle
from tinysr.runtime.registry import STAGES
from tinysr.runtime.tensorrt.chain import DeviceChain
from tinysr.runtime.tensorrt.cuda import Cuda
from tinysr.runtime.tensorrt.device import cuda_runtime

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
        stage="upscale",
        method="chain of engines",
        precision=precision,
    )


def tile_shape(artifact: Artifact, tile: int) -> tuple[int, ...]:
    """Return an input's shape for one tile of ``tile`` low-resolution pixels."""
    shape = artifact.inputs[0].shape
    side = tile // 2 if artifact.stage in ("transformer", "decoder") else tile
    sizes = (1, shape[1], side, side)
    return tuple(int(size) for size in sizes)


def _engine(bundle: Bundle, artifact: Artifact) -> GpuLatency:
    with TensorRTBackend().open(bundle, artifact) as session, ExitStack() as opened:
        execution = session.execution
        execution.prepare(tile_shape(artifact, bundle.manifest.tile))
        timer = EventTimer(execution.cuda, execution.stream)
        opened.callback(timer.close)
        return measure(execution.launch, timer)


def _chain(bundle: Bundle, precision: str) -> GpuLatency:
    backend = TensorRTBackend()
    with ExitStack() as opened:
        stages: dict[Stage, Any] = {}
        for stage in STAGES:
            artifact = bundle.artifact("tensorrt", stage, precision)
            stages[stage] = opened.enter_context(backend.open(bundle, artifact)).execution
        cuda = Cuda(cuda_runtime())
        chain = DeviceChain(cuda, stages, importlib.import_module("cuda.bindings.driver"))
        opened.callback(chain.close)
        chain.prepare(tile_shape(stages["encoder"].artifact, bundle.manifest.tile))
        timer = EventTimer(cuda, chain.stream)
        opened.callback(timer.close)
        return measure(chain.launch, timer)
