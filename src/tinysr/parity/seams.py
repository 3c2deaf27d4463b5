"""Seams: what tiling adds, as the error at the borders of tiles against the error elsewhere.

One image of several tiles goes through a backend in tiles and small windows, and through the
eager model with the autoencoder on the whole image. A halo that is too small, a border that is
blended wrongly or a graph that treats its own edges differently shows as a ratio above one, also
where the error is far too small to be seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysr.chain import Chain
from tinysr.errors import BundleError
from tinysr.manifest import Artifact, Manifest
from tinysr.metrics import Metrics, measure
from tinysr.models.family import OneStepModel
from tinysr.runtime.bundle import Bundle
from tinysr.runtime.color import color_fix
from tinysr.runtime.geometry import plan
from tinysr.runtime.network import MEMORY_MB, ImageWork, Network
from tinysr.runtime.network.fit import find_surroundings
from tinysr.runtime.registry import create
from tinysr.runtime.render import render
from tinysr.runtime.session import Backend, RunOptions
from tinysr.stages import Tiles
from tinysr.suite.images import ImageArray, photo

from .gates import SEAM_RATIO, gate_db
from .reference import clamp_expected
from .results import SeamResult

__all__ = ["SeamReference", "compute_seam_references", "measure_seams", "seam_ratio"]

PHOTO = "astronaut"

_WIDTH = 8
"""Pixels of the result on either side of a border that count as being at it."""

_ODD = 5
"""Pixels by which the image is smaller than its tiles, so that no side is a multiple of 4."""

_ENOUGH_MB = 1e9
"""Memory that no image of this size takes, in 10⁶ bytes."""

_FLOOR = 1e-6
"""Error that is rounding: in fp32 it is nowhere smaller, and its pattern means nothing."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True, slots=True)
class SeamReference:
    """The image, and what the eager model makes of it with the same transformer tiles."""

    image: ImageArray
    """``[3, H, W]`` in [0, 1]: two tiles wide and high, or more where windows are larger."""
    upscaled: NDArray[np.floating[Any]]
    """``[3, 4H, 4W]``, not clipped."""
    whole: bool = False
    """Whether stages of tiles that may take it whole did."""


def compute_seam_references(bundle: Bundle, model: OneStepModel) -> tuple[SeamReference, ...]:
    """Run the eager model on an image of two by two tiles, its autoencoder on the whole of it.

    Args:
        bundle: for its sizes; none of its graphs is opened.
        model: that it was made from.

    Returns:
        One for tiles; and one for the whole, where stages of tiles may take it.
    """
    side = max(_tiles_side(bundle.manifest), _windows_side(bundle)) - _ODD
    image = photo(PHOTO, side)
    chain = bundle.manifest.chain
    window = 2 * side * chain.multiple
    eager = create("eager", RunOptions(model=model))
    references = []
    for whole in (False, True) if chain.may_be_whole else (False,):
        upscaled, _ = _upscale(bundle, eager, "fp32", image, window=window, whole=whole)
        references.append(SeamReference(image=image, upscaled=upscaled, whole=whole))
    return tuple(references)


def measure_seams(
    bundle: Bundle, backend: Backend, references: Iterable[SeamReference]
) -> Iterable[SeamResult]:
    """Yield the results of each precision that runs here, and in which all stages are there."""
    for precision in backend.precisions(bundle, bundle.manifest.chain.names):
        stages = [
            backend.artifact(bundle, stage, precision) for stage in bundle.manifest.chain.names
        ]
        if any(backend.explain_unfit(bundle, artifact) for artifact in stages):
            continue
        takes_whole = _take_whole(bundle.manifest.chain, stages)
        for reference in references:
            if takes_whole or not reference.whole:
                yield _measure(bundle, backend, precision, reference)


def _take_whole(chain: Chain, artifacts: Sequence[Artifact]) -> bool:
    """Return whether the graphs of all stages that may take an image whole are of any size."""
    return not any(
        isinstance(stage.division, Tiles)
        and stage.division.whole
        and isinstance(artifact.inputs[0].shape[-1], int)
        for stage, artifact in zip(chain.stages, artifacts, strict=True)
    )


def seam_ratio(error: NDArray[np.floating[Any]], at_borders: Mask) -> float:
    """Return the mean squared error at borders over that elsewhere, both above rounding.

    Args:
        error: ``[C, H, W]``.
        at_borders: ``[H, W]``.
    """
    squares = np.square(error, dtype=np.float64).mean(axis=0)
    floor = _FLOOR**2
    if not at_borders.any():  # every stage ran once
        return 1.0
    return float((squares[at_borders].mean() + floor) / (squares[~at_borders].mean() + floor))


def _measure(
    bundle: Bundle, backend: Backend, precision: str, reference: SeamReference
) -> SeamResult:
    gate = gate_db(precision)
    metrics, ratio = Metrics(finite=False, identical=False, peak=1.0), None
    work: ImageWork | None = None
    with suppress(_NotFiniteError):
        found, work = _upscale(
            bundle,
            backend,
            precision,
            reference.image,
            window=_least_window(bundle.manifest),
            whole=reference.whole,
        )
        last = backend.artifact(bundle, bundle.manifest.chain.names[-1], precision)
        expected = clamp_expected(last, reference.upscaled)
        metrics = measure(found, expected, images=True)
        at_borders = _mask_borders(work, found.shape[1:], bundle.manifest.chain)
        ratio = seam_ratio(found - expected, at_borders)
    return SeamResult(
        backend=backend.name,
        target=backend.target,
        precision=precision,
        image=f"{PHOTO}, {reference.image.shape[2]}×{reference.image.shape[1]}"
        + (", whole" if reference.whole else ""),
        tiles=work.count("tiles") if work else 0,
        windows=work.count("windows") if work else 0,
        metrics=metrics,
        ratio=ratio,
        gate_db=gate,
        limit=SEAM_RATIO,
        passed=metrics.passes(gate) and ratio is not None and ratio <= SEAM_RATIO,
    )


class _NotFiniteError(Exception):
    """The network gave NaN or infinity."""


def _upscale(
    bundle: Bundle,
    backend: Backend,
    precision: str,
    image: ImageArray,
    *,
    window: int,
    whole: bool,
) -> tuple[NDArray[np.float32], ImageWork]:
    """Return what a backend makes of an image ``[3, H, W]``, not clipped, and how it was tiled."""
    manifest = bundle.manifest
    with ExitStack() as opening:
        sessions = {
            stage: opening.enter_context(
                backend.open(bundle, backend.artifact(bundle, stage, precision))
            )
            for stage in manifest.chain.names
        }
        memory = _ENOUGH_MB if whole else MEMORY_MB
        network = Network(manifest, sessions, memory_mb=memory, window=window, whole=whole)
        opening.callback(network.close)
        pixels = np.ascontiguousarray(image.transpose(1, 2, 0))
        sizes = plan(image.shape[2], image.shape[1], manifest.chain, least=network.least)
        try:
            rows, work = render(pixels, sizes, network, color_fix("none"))
        except BundleError as error:
            raise _NotFiniteError from error
        return rows.take(0, rows.shape[1]), work


def _tiles_side(manifest: Manifest) -> int:
    """Return a side that takes two tiles of each stage of tiles, or several windows."""
    chain = manifest.chain
    tiles = (
        chain.pixels(stage, 2 * stage.division.side - stage.division.overlap)
        for stage in chain.stages
        if isinstance(stage.division, Tiles)
    )
    return max(tiles, default=_least_window(manifest) + manifest.tile)


def _windows_side(bundle: Bundle) -> int:
    """Return a side that takes several windows of graphs that take only some sizes; 0 without."""
    manifest = bundle.manifest
    around = find_surroundings(manifest.chain)
    sides = {side for a in bundle.artifacts() for side in a.options.windows}
    usable = [side for side in sides if side > around]
    return min(usable) + manifest.tile if usable else 0


def _least_window(manifest: Manifest) -> int:
    """Return a window that gives half a tile: several of them lie side by side in the image."""
    multiple = manifest.chain.multiple
    half = max(multiple, manifest.tile // 2 // multiple * multiple)
    return -(-find_surroundings(manifest.chain) // multiple) * multiple + half


def _mask_borders(work: ImageWork, size: tuple[int, ...], chain: Chain) -> Mask:
    rows: set[int] = set()
    columns: set[int] = set()
    for part in work.parts:
        cell, (tops, lefts) = chain.cell(part.stage), part.borders
        rows |= {cell * line for line in tops}
        columns |= {cell * line for line in lefts}
    near_row, near_column = (
        _mask_near(lines, length) for lines, length in zip((rows, columns), size, strict=True)
    )
    return near_row[:, None] | near_column[None, :]


def _mask_near(lines: Iterable[int], length: int) -> Mask:
    """Return which pixels along a side are near a border; the image's own are none."""
    near = np.zeros(length, bool)
    for place in lines:
        if 0 < place < length:
            near[max(0, place - _WIDTH) : place + _WIDTH] = True
    return near
