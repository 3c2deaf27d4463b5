"""Calibration images: degraded photos, and the tiles on which ports have failed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tinysr.errors import CalibrationError
from tinysr.models import SCALE
from tinysr.runtime.geometry import resize
from tinysr.suite import SuiteImage, photo, suite
from tinysr.suite.images import PHOTOS, readable_paths, user_image
from tinysr.training.degradations.fixed import degrade

__all__ = [
    "SEED",
    "CalibrationImage",
    "DegradedPhoto",
    "calibration_images",
    "degrade_photos",
    "image_sha256",
]

SEED = 80
"""The paper's seed (appendix A)."""

_VERSIONS = 3
"""Degraded versions of each photo: 32 images together with the suite."""


_HELD_OUT = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class CalibrationImage:
    """An image that is read or made when its turn comes."""

    name: str
    load: Callable[[], SuiteImage]
    """Raises ImageError when a file can't be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DegradedPhoto:
    """A photo and what degradation left of it."""

    low: SuiteImage
    high: NDArray[np.float32]
    """The ground truth: ``[3, scale·tile, scale·tile]``, in [0, 1]."""


def degrade_photos(tile: int, seed: int = SEED, *, scale: int = SCALE) -> tuple[DegradedPhoto, ...]:
    """Return one degraded version of each of the suite's photos, with its ground truth.

    None of them is among :func:`calibration_images`: what plans are held against is not what they
    were found on.
    """
    pairs = (_pair(name, tile, (seed, index, _HELD_OUT)) for index, name in enumerate(PHOTOS))
    size = (scale * tile, scale * tile)
    return tuple(DegradedPhoto(low=pair.low, high=resize(pair.high, size)) for pair in pairs)


def calibration_images(
    tile: int, *, folder: Path | None = None, seed: int = SEED, limit: int | None = None
) -> tuple[CalibrationImage, ...]:
    """Return the images to measure, in their order.

    The parity suite comes first, always: its flat and synthetic tiles are where half precision
    has failed, and its photos are what the gate is held on. Then come the images of a folder, or
    without one degraded versions of the suite's photos, seen at a quarter of their size.

    Args:
        tile: side in low-resolution pixels.
        folder: images of the user's, cropped to their centre or mirrored outwards; those that
            can't be read are left out, with a warning.
        seed: of the degradations.
        limit: take only so many.

    Raises:
        ImageError: the folder can't be read, or holds no image that can be.
        CalibrationError: the limit leaves no image.
    """
    if limit is not None and limit < 1:
        raise CalibrationError(f"expected a limit of at least 1 image, found {limit}")
    own = [
        CalibrationImage(name=image.name, load=partial(_keep_as_is, image)) for image in suite(tile)
    ]
    more = _degrade_all(tile, seed) if folder is None else _files(folder, tile)
    return tuple(islice(chain(own, more), limit))


def image_sha256(image: SuiteImage) -> str:
    """Return the hash of an image's pixels and their shape."""
    digest = hashlib.sha256(repr(image.pixels.shape).encode())
    digest.update(np.ascontiguousarray(image.pixels, np.float32).tobytes())
    return digest.hexdigest()


def _keep_as_is(image: SuiteImage) -> SuiteImage:
    return image


def _files(folder: Path, tile: int) -> Iterator[CalibrationImage]:
    """Yield the images of a folder, each once it was read: minutes are spent on them later."""
    for path in readable_paths(folder, tile):
        yield CalibrationImage(name=path.name, load=partial(user_image, path, tile))


def _degrade_all(tile: int, seed: int) -> list[CalibrationImage]:
    return [
        CalibrationImage(
            name=f"{name}, degraded {version}",
            load=partial(_degrade, name, tile, (seed, index, version)),
        )
        for version in range(1, _VERSIONS + 1)
        for index, name in enumerate(PHOTOS)
    ]


def _degrade(name: str, tile: int, seed: tuple[int, int, int]) -> SuiteImage:
    return _pair(name, tile, seed).low


def _pair(name: str, tile: int, seed: tuple[int, int, int]) -> DegradedPhoto:
    high = photo(name, tile * SCALE)
    low = degrade(np.ascontiguousarray(high.transpose(1, 2, 0)), np.random.default_rng(seed))
    pixels = np.ascontiguousarray(low.transpose(2, 0, 1), np.float32)
    image = SuiteImage(name=f"{name}, degraded {seed[-1]}", kind="photo", pixels=pixels)
    return DegradedPhoto(low=image, high=high)
