"""Running a model over the calibration images, and measuring every operation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.manifest import Source
from tinysr.parity import Progress

from .histogram import Seen, see
from .images import CalibrationImage, image_sha256
from .ranges import ImageEntry, Ranges, module_ranges, op_range
from .state import State
from .trace import Op, Trace
from .walk import Walker

__all__ = ["measure_ranges"]


class _Measuring(Walker):
    """Runs a model in fp32 and measures what it computes."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace)
        self.seen: dict[str, Seen] = {}

    def computed(self, op: Op, value: Tensor) -> Tensor:
        self.seen[op.name] = see(value)
        return value


def measure_ranges(
    trace: Trace,
    images: Sequence[CalibrationImage],
    *,
    source: Source,
    tile: int,
    seed: int,
    state: State | None = None,
    progress: Progress | None = None,
) -> Ranges:
    """Measure every operation on every image, one image at a time.

    Args:
        trace: the model in fp32.
        images: what to run it on.
        source: the checkpoint.
        tile: side of the images.
        seed: that the images were made with.
        state: where images that are done are kept, and found again.
        progress: told about every image.

    Raises:
        ImageError: an image can't be read.
        CheckpointError: a value is NaN or infinite in fp32.
    """
    entries: list[ImageEntry] = []
    columns: list[list[Seen]] = []
    for done, entry in enumerate(images):
        if progress:
            progress(f"measuring {entry.name}", done, len(images))
        image = entry.load()
        digest = image_sha256(image)
        seen = state.get(digest) if state else None
        if seen is None:
            seen = _measured(trace, torch.from_numpy(image.pixels)[None], entry.name)
            if state:
                state.put(digest, seen)
        entries.append(ImageEntry(name=entry.name, sha256=digest))
        columns.append(seen)
    ops = tuple(
        op_range(op, [column[row] for column in columns], entries)
        for row, op in enumerate(trace.ops)
    )
    return Ranges(
        source=source,
        tile=tile,
        seed=seed,
        images=tuple(entries),
        ops=ops,
        modules=module_ranges(ops, trace.units),
    )


def _measured(trace: Trace, image: Tensor, name: str) -> list[Seen]:
    walker = _Measuring(trace)
    walker(image)
    for op in trace.ops:
        if not math.isfinite(walker.seen[op.name].absmax):
            raise CheckpointError(
                f"'{op.name}' gives NaN or infinity in fp32 on the image '{name}': "
                "the model's weights can't be used"
            )
    return [walker.seen[op.name] for op in trace.ops]
