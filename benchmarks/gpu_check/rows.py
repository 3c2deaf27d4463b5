"""A row of the result: one stage, one way to run it, its latency or why there is none."""

from __future__ import annotations

from collections.abc import Callable

from tinysr.errors import TinySRError
from tinysr.records import StrictRecord

from .latency import GpuLatency

__all__ = ["GpuRow", "make_row"]


class GpuRow(StrictRecord):
    """One measurement."""

    model: str
    stage: str
    method: str
    """engine, chain of engines, eager, torch.compile, eager with CUDA graph, onnxruntime cuda."""
    precision: str
    latency: GpuLatency | None = None
    why_not: str = ""
    """Reason why it was not measured; empty if it was."""


def make_row(
    measure: Callable[[], GpuLatency], *, model: str, stage: str, method: str, precision: str
) -> GpuRow:
    """Return a measurement as a row; one that fails says why, and the others go on."""
    latency, why = None, ""
    try:
        latency = measure()
    # RuntimeError is what PyTorch says of CUDA; OSError, of a compiler that is missing.
    except (TinySRError, RuntimeError, ImportError, OSError) as error:
        why = " ".join(str(error).split())[:300] or type(error).__name__
    return GpuRow(
        model=model,
        stage=stage,
        method=method,
        precision=precision,
        latency=latency,
        why_not=why,
    )
