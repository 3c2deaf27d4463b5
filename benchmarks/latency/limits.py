"""Stages beside what the machine could do, for those that are computed on the CPU.

The peaks are the CPU's: they limit nothing that runs elsewhere, which gets no limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from tinysr.facts import OpenVinoFacts
from tinysr.manifest import Artifact
from tinysr.stages import StageName

from ..peaks import Peaks
from ..rows import StageRow
from ..timing import Latency
from .work import StageWork, count_moved_bytes, find_limit

__all__ = ["find_computed_type", "list_reached", "stage_rows"]


def find_computed_type(artifact: Artifact) -> str | None:
    """Return the type in which the CPU computes an artifact's products, None if it computes none.

    ONNX Runtime computes them in fp32, whatever the precision of the weights.
    """
    if artifact.target == "onnx":
        return "fp32"
    if artifact.target != "openvino":
        return None
    if artifact.precision == "int8":
        return "int8"
    computed = artifact.facts(OpenVinoFacts).inference_precision
    return "fp32" if computed == "f32" else "bf16"


def list_reached(
    times: Mapping[str, Latency], artifacts: Sequence[Artifact], work: Mapping[StageName, StageWork]
) -> Iterator[tuple[str, float]]:
    """Yield the type of each stage, and 10¹² operations per second that it reached."""
    for artifact in artifacts:
        computed, ms = find_computed_type(artifact), times[artifact.stage].p50
        if computed is not None and ms:
            yield computed, work[artifact.stage].operations / ms / 1e9


def stage_rows(
    times: Mapping[str, Latency],
    artifacts: Sequence[Artifact],
    work: Mapping[StageName, StageWork],
    peaks: Peaks,
) -> tuple[StageRow, ...]:
    """Return all parts of an image's time, stages with their limits.

    Args:
        times: of each part, in order.
        artifacts: of all stages, in one precision.
        work: of each stage.
        peaks: of the machine.
    """
    staged: dict[str, StageRow] = {
        artifact.stage: _stage_row(times[artifact.stage], artifact, work[artifact.stage], peaks)
        for artifact in artifacts
    }
    return tuple(
        staged.get(name) or StageRow(name=name, ms=found.p50, spread=found.spread)
        for name, found in times.items()
    )


def _stage_row(found: Latency, artifact: Artifact, work: StageWork, peaks: Peaks) -> StageRow:
    computed = find_computed_type(artifact)
    if computed is None or not found.p50:  # a backend that joins stages runs none of them alone
        return StageRow(name=artifact.stage, ms=found.p50, spread=found.spread)
    least = find_limit(work, computed, peaks)
    limits = {"limit_ms": least.least, "unfused_ms": least.unfused} if least else {}
    return StageRow(
        name=artifact.stage,
        ms=found.p50,
        spread=found.spread,
        tops=work.operations / found.p50 / 1e9,
        intensity=work.operations / count_moved_bytes(work, computed),
        bound=least.bound if least else "",
        **limits,
    )
