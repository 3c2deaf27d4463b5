"""Running a model over the calibration images, and measuring every operation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.export.model.baked import make_batch
from tinysr.manifest import Source
from tinysr.progress import Progress

from ..traced.trace import Op, Trace
from ..traced.walk import Walker
from .histogram import ImageRanges, see
from .images import CalibrationImage, image_sha256
from .record import ImageEntry, Ranges, Totals, module_ranges
from .state import MeasuredFolder

__all__ = ["Measurement", "measure_ranges"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """Measurements of a model on the calibration images."""

    ranges: Ranges
    upscaled: Mapping[str, NDArray[np.floating[Any]]]
    """``[3, 4T, 4T]`` in fp32, unclamped, by the image's hash; but of images that an earlier run
    measured there is none."""


class _Measuring(Walker):
    """Runs a model in fp32 and measures what it computes."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace)
        self._rows = {op.name: row for row, op in enumerate(trace.ops)}
        self.measured = ImageRanges.empty(len(trace.ops))

    def convert_output(self, op: Op, value: Tensor) -> Tensor:
        self.measured.put(self._rows[op.name], see(value))
        return value


def measure_ranges(
    trace: Trace,
    images: Sequence[CalibrationImage],
    *,
    source: Source,
    tile: int,
    seed: int,
    state: MeasuredFolder | None = None,
    progress: Progress | None = None,
) -> Measurement:
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
    upscaled = {}
    for done, entry in enumerate(images):
        if progress:
            progress(f"measuring {entry.name}", done, len(images))
        image = entry.load()
        digest = image_sha256(image)
        measured = state.get(digest) if state else None
        if measured is None:
            pixels = make_batch(trace.chain, image.pixels)
            measured, upscaled[digest] = _measure_image(trace, pixels, entry.name)
            if state:
                state.put(digest, measured)
        totals.add(ImageEntry(name=entry.name, sha256=digest), measured)
    ops = totals.ranges()
    ranges = Ranges(
        source=source,
        tile=tile,
        seed=seed,
        images=tuple(totals.images),
        ops=ops,
        modules=module_ranges(ops, trace.units),
    )
    return Measurement(ranges=ranges, upscaled=upscaled)


def _measure_image(
    trace: Trace, image: Tensor, name: str
) -> tuple[ImageRanges, NDArray[np.floating[Any]]]:
    walker = _Measuring(trace)
    upscaled = walker(image)[0].numpy()
    for op, finite in zip(trace.ops, np.isfinite(walker.measured.absmax), strict=True):
        if not finite:
            raise CheckpointError(
                f"'{op.name}' gives NaN or infinity in fp32 on the image '{name}': "
                "the model's weights can't be used"
            )
    return walker.measured, upscaled
