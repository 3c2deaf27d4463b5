"""Render: one image through the network, up to rows that only wait to be taken."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .color import Fix
from .footprint import estimate_footprint, is_compact
from .geometry import Planes, SizePlan, pad, resize
from .network import ImageWork, Network
from .planes import planes_from_pixels
from .raster import Pixels
from .rows import Clamped, Resampled, Rows, Solid, Straight
from .store import Store

__all__ = ["CountProgress", "render"]

CountProgress = Callable[[int, int], None]
"""Callback, called after each step with the number of steps done, and of all of them."""


def render(
    pixels: Pixels,
    sizes: SizePlan,
    network: Network,
    fix: Fix,
    progress: CountProgress | None = None,
    *,
    alpha_is_data: bool = False,
) -> tuple[Rows, ImageWork]:
    """Return the result's rows, and how the image was divided.

    Rows are ``[C, H, W]`` about [0, 1], with as many channels as the pixels.

    Grey goes through the network as RGB, and comes back as the mean. Where the opacity varies,
    the colour goes through it multiplied by the opacity, and the opacity by itself: so both have
    the same edges, and what is invisible can't leave a fringe.

    Args:
        pixels: ``[H, W, C]``, grey or RGB, with or without alpha.
        sizes: of this image.
        network: open.
        fix: the colour fix.
        progress: called after each step.
        alpha_is_data: colours and alpha go through the network apart, as they are.

    Raises:
        BundleError: the network's result is not finite.
    """
    color, alpha = planes_from_pixels(pixels)
    varies = alpha is not None and bool(alpha.min() != alpha.max())
    premultiplied = varies and not alpha_is_data
    images = [color]
    if alpha is not None and varies:
        if premultiplied:
            color *= alpha
        images.append(alpha)
    stores = [_store(image, sizes, pixels) for image in images]
    taken = estimate_footprint(
        sizes,
        channels=pixels.shape[2],
        value_bytes=pixels.itemsize,
        planes=sum(len(image) for image in images),
    )
    work = network.divide(*sizes.padded, taken.held)
    step = _Steps(progress, len(images) * work.steps)
    sources = [resize(image, sizes.scaled) for image in images]
    for source, store in zip(sources, stores, strict=True):
        network.run(_rgb(pad(source, sizes.padded)), work, store, step)
    rows = _resize(fix(stores[0], sources[0]), sizes)
    if alpha is None:
        return rows, work
    if varies:
        opacity = _resize(Clamped(stores[1], sources[1]), sizes)
    else:
        opacity = Solid((1, *rows.shape[1:]), float(alpha.flat[0]))
    return Straight(rows, opacity, premultiplied=premultiplied), work


def _store(image: Planes, sizes: SizePlan, pixels: Pixels) -> Store:
    width, height = sizes.made
    compact = is_compact((width, height), pixels.itemsize)
    return Store(image.shape[0], height, width, compact=compact)


def _rgb(image: Planes) -> Planes:
    return image if len(image) == 3 else np.broadcast_to(image, (3, *image.shape[1:]))


def _resize(rows: Rows, sizes: SizePlan) -> Rows:
    return Resampled(rows, sizes.output) if sizes.resampled else rows


class _Steps:
    """Counts steps for a progress callback."""

    def __init__(self, progress: CountProgress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def __call__(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(self._done, self._total)
