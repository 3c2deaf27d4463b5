"""Running a model over the calibration images, and measuring every operation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.manifest import Source
from tinysr.parity import Progress

from .histogram import Measured, see
from .images import CalibrationImage, image_sha256
from .ranges import ImageEntry, Ranges, Totals, module_ranges
from .state import State
from .trace import Op, Trace
from .walk import Walker

__all__ = ["measure_ranges"]


class _Measuring(Walker):
    """Runs a model in fp32 and measures what it computes."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace)
        self._rows = {op.name: row for row, op in enumerate(trace.ops)}
        self.measured = Measured.empty(len(trace.ops))

    def computed(self, op: Op, value: Tensor) -> Tensor:
        self.measured.put(self._rows[op.name], see(value))
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
    totals = Totals(trace.ops)
    for done, entry in enumerate(images):
        if progress:
            progress(f"measuring {entry.name}", done, len(images))
        image = entry.load()
        digest = image_sha256(image)
        measured = state.get(digest) if state else None
        if measured is None:
            measured = _measured(trace, torch.from_numpy(image.pixels)[None], entry.name)
            if state:
                state.put(digest, measured)
        totals.add(ImageEntry(name=entry.name, sha256=digest), measured)
    ops = totals.ranges()
    return Ranges(
        source=source,
        tile=tile,
        seed=seed,
        images=tuple(totals.images),
        ops=ops,
        modules=module_ranges(ops, trace.units),
    )


def _measured(trace: Trace, image: Tensor, name: str) -> Measured:
    walker = _Measuring(trace)
    walker(image)
    for op, finite in zip(trace.ops, np.isfinite(walker.measured.absmax), strict=True):
        if not finite:
            raise CheckpointError(
                f"'{op.name}' gives NaN or infinity in fp32 on the image '{name}': "
                "the model's weights can't be used"
            )
    return walker.measured
