"""Error of a plan on every image of the suite, in true fp16, against fp32."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysr.export.model.baked import make_batch
from tinysr.metrics import Metrics, measure
from tinysr.progress import Progress
from tinysr.records import StrictRecord
from tinysr.suite import SuiteImage, suite

from ..ranges.images import image_sha256
from ..traced.half import HalfWalker
from ..traced.trace import Trace
from ..traced.walk import Walker

__all__ = ["Evaluation", "ImageScore", "Truth", "compute_truths", "evaluate", "score"]


class ImageScore(StrictRecord):
    """One image under a plan, held against fp32."""

    image: str
    finite: bool
    psnr_db: float | None
    """Null when not finite, or when equal bit for bit."""
    passed: bool

    @property
    def rank(self) -> float:
        """A number to sort by, worst first."""
        if not self.finite:
            return float("-inf")
        return float("inf") if self.psnr_db is None else self.psnr_db


class Evaluation(StrictRecord):
    """All images under one plan."""

    gate_db: float
    scores: tuple[ImageScore, ...]

    @property
    def worst(self) -> ImageScore:
        """The image with the lowest PSNR."""
        return min(self.scores, key=lambda score: score.rank)

    @property
    def passed(self) -> bool:
        """Every image is finite and reaches the gate."""
        return all(score.passed for score in self.scores)


@dataclass(frozen=True, kw_only=True, slots=True)
class Truth:
    """An image, and what the model makes of it in fp32.

    The model is the baked one: it equals the eager model to 1e-4 of its output, which export
    proves, so that what is measured at 50 dB is fp16's doing.
    """

    image: SuiteImage
    upscaled: NDArray[np.floating[Any]]
    """``[3, 4T, 4T]``."""


def compute_truths(
    trace: Trace,
    tile: int,
    progress: Progress | None = None,
    known: Mapping[str, NDArray[np.floating[Any]]] | None = None,
) -> tuple[Truth, ...]:
    """Run the model in fp32 on the parity suite.

    Args:
        trace: of the model.
        tile: side of the suite's images.
        progress: told about every image.
        known: what it makes of some of them, by the image's hash: these are not run again.
    """
    images = suite(tile)
    walker = Walker(trace)
    found = []
    for done, image in enumerate(images):
        if progress:
            progress(f"fp32 of {image.name}", done, len(images))
        upscaled = (known or {}).get(image_sha256(image))
        if upscaled is None:
            upscaled = _run(walker, image)
        found.append(Truth(image=image, upscaled=upscaled))
    return tuple(found)


def evaluate(
    trace: Trace,
    wide: Collection[str],
    expected: Sequence[Truth],
    gate_db: float,
    progress: Progress | None = None,
) -> Evaluation:
    """Run every image with all modules but the ``wide`` ones in true fp16."""
    scores = tuple(_scores(trace, wide, expected, gate_db, progress))
    return Evaluation(gate_db=gate_db, scores=scores)


def score(trace: Trace, wide: Collection[str], truth: Truth, gate_db: float) -> ImageScore:
    """Run one image with all modules but the ``wide`` ones in true fp16."""
    found = _run(HalfWalker(trace, wide), truth.image)
    metrics: Metrics = measure(found, truth.upscaled, peak=1.0)
    return ImageScore(
        image=truth.image.name,
        finite=metrics.finite,
        psnr_db=metrics.psnr_db,
        passed=metrics.passes(gate_db),
    )


def _scores(
    trace: Trace,
    wide: Collection[str],
    expected: Sequence[Truth],
    gate_db: float,
    progress: Progress | None,
) -> Iterable[ImageScore]:
    for done, truth in enumerate(expected):
        if progress:
            progress(f"fp16 of {truth.image.name}", done, len(expected))
        yield score(trace, wide, truth, gate_db)


def _run(walker: Walker, image: SuiteImage) -> NDArray[np.floating[Any]]:
    x = make_batch(walker.trace.chain, image.pixels)
    upscaled: NDArray[np.floating[Any]] = walker(x)[0].numpy()
    return upscaled
