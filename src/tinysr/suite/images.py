"""The images every artifact is held to: photos, and the tiles on which half precision breaks.

Smooth tiles are not a formality: a port of a sister model to 16-bit floats returned NaN on
them while every photo was fine.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from tinysr import paths
from tinysr.errors import ImageError
from tinysr.runtime.files import INPUT_SUFFIXES

__all__ = [
    "PHOTOS",
    "TILE",
    "SuiteImage",
    "fit",
    "image_paths",
    "photo",
    "readable_paths",
    "suite",
    "user_image",
    "user_images",
]

TILE = 128
"""Side of the tiles that the photos are stored at, in pixels."""

PHOTOS = ("astronaut", "camera", "chelsea", "coffee", "hubble", "rocket")
"""The photos in the package; :mod:`tinysr.suite.photos` says where they are from."""

_SEED = 80
_LOG = logging.getLogger(__name__)

ImageArray = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class SuiteImage:
    """One low-resolution tile."""

    name: str
    kind: Literal["photo", "flat", "pattern", "user"]
    pixels: ImageArray
    """``[3, tile, tile]``, RGB, in [0, 1]."""


def suite(tile: int = TILE) -> tuple[SuiteImage, ...]:
    """Return the suite at a tile size; the same bytes every time.

    Photos are cropped to their centre, or mirrored outwards when the tile is larger.
    """
    photos = (SuiteImage(name=n, kind="photo", pixels=photo(n, tile)) for n in PHOTOS)
    flats = (
        SuiteImage(name=name, kind="flat", pixels=_flat(colour, tile))
        for name, colour in {
            "black": (0.0, 0.0, 0.0),
            "white": (1.0, 1.0, 1.0),
            "grey": (0.5, 0.5, 0.5),
            "orange": (0.9, 0.4, 0.1),
        }.items()
    )
    patterns = (
        SuiteImage(name=name, kind="pattern", pixels=draw(tile))
        for name, draw in {
            "gradient": _gradient,
            "checkerboard": _checkerboard,
            "noise": _noise,
            "text": _text,
        }.items()
    )
    return (*photos, *flats, *patterns)


def user_images(folder: Path, tile: int) -> tuple[SuiteImage, ...]:
    """Return the images of a folder, in the order of their names, as tiles like the suite's.

    What can't be read is left out, with a warning.

    Raises:
        ImageError: the folder can't be read, or holds no image that can be.
    """
    return tuple(image for _, image in _readable(folder, tile))


def readable_paths(folder: Path, tile: int) -> Iterator[Path]:
    """Yield the image files of a folder that can be read to their end, each once that was tried.

    What can't be read is left out, with a warning.

    Raises:
        ImageError: the folder can't be read, or holds no image that can be.
    """
    return (path for path, _ in _readable(folder, tile))


def image_paths(folder: Path) -> tuple[Path, ...]:
    """Return the image files of a folder, in the order of their names.

    Raises:
        ImageError: the folder can't be read, or holds no image.
    """
    if not paths.is_folder(folder, ImageError):
        raise ImageError(f"{folder}: expected a folder of images, found none")
    named = [p for p in paths.list_folder(folder, ImageError) if p.suffix.lower() in INPUT_SUFFIXES]
    found = tuple(path for path in named if paths.may_be_file(path))
    if not found:
        raise ImageError(
            f"{folder}: no images here (looked for {', '.join(sorted(INPUT_SUFFIXES))})"
        )
    return found


def _readable(folder: Path, tile: int) -> Iterator[tuple[Path, SuiteImage]]:
    problem: ImageError | None = None
    none = True
    for path in image_paths(folder):
        try:
            image = user_image(path, tile)
        except ImageError as error:
            _LOG.warning("%s; it is left out", error)
            problem = problem or error
        else:
            none = False
            yield path, image
    if none and problem is not None:
        raise problem


def user_image(path: Path, tile: int) -> SuiteImage:
    """Return an image file as a tile like the suite's.

    Raises:
        ImageError: it can't be read.
    """
    return SuiteImage(name=path.name, kind="user", pixels=fit(_read(path), tile))


def photo(name: str, side: int) -> ImageArray:
    """Return one of :data:`PHOTOS` at a size, ``[3, side, side]``."""
    with resources.as_file(resources.files("tinysr.suite") / "photos" / f"{name}.png") as path:
        return fit(_read(path), side)


def fit(pixels: ImageArray, tile: int) -> ImageArray:
    """Return the centre ``[3, tile, tile]`` of ``[3, H, W]``, mirrored outwards where it ends."""
    short = [max(0, tile - side) for side in pixels.shape[1:]]
    pad = [(0, 0), *((missing // 2, missing - missing // 2) for missing in short)]
    padded = np.pad(pixels, pad, mode="symmetric")
    top, left = ((side - tile) // 2 for side in padded.shape[1:])
    return np.ascontiguousarray(padded[:, top : top + tile, left : left + tile])


def _read(path: Path) -> ImageArray:
    try:
        with Image.open(path) as image:
            rgb = ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path}: expected an image, found none that can be read") from error
    return _planes(np.asarray(rgb, np.float32) / 255)


def _planes(pixels: NDArray[np.floating[Any]]) -> ImageArray:
    """Return ``[H, W, 3]`` as contiguous ``[3, H, W]``."""
    return np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32)


def _flat(colour: Iterable[float], tile: int) -> ImageArray:
    column = np.asarray(tuple(colour), np.float32)[:, None, None]
    return np.ascontiguousarray(np.broadcast_to(column, (3, tile, tile)))


def _gradient(tile: int) -> ImageArray:
    """Red rises to the right, green downwards, blue falls along the diagonal."""
    y, x = np.mgrid[0:tile, 0:tile].astype(np.float32) / (tile - 1)
    return np.stack([x, y, 1 - (x + y) / 2]).astype(np.float32)


def _checkerboard(tile: int) -> ImageArray:
    """Squares of 1 pixel in the left half and of 8 in the right one."""
    y, x = np.mgrid[0:tile, 0:tile]
    squares = np.where(x < tile // 2, (x + y) % 2, (x // 8 + y // 8) % 2)
    return np.repeat(squares[None].astype(np.float32), 3, axis=0)


def _noise(tile: int) -> ImageArray:
    return np.random.default_rng(_SEED).random((3, tile, tile), np.float32)


def _text(tile: int) -> ImageArray:
    """Black on white above, white on blue below, in the font that Pillow brings."""
    image = Image.new("L", (tile, tile), 0)
    draw = ImageDraw.Draw(image)
    # The bitmap font: a scalable one would differ between FreeType versions.
    font = ImageFont.load_default_imagefont()
    words = "The quick brown fox jumps over the lazy dog 0123456789 "
    for line, top in enumerate(range(2, tile, 11)):
        shift = line * 5 % len(words)
        draw.text((2, top), (words[shift:] + words * 8)[: tile // 5], fill=255, font=font)
    ink = np.asarray(image, np.float32)[None] / 255
    below = np.arange(tile)[None, :, None] >= tile // 2
    paper = np.where(below, _flat((0.1, 0.2, 0.6), tile), np.float32(1))
    return (ink * below + paper * (1 - ink)).astype(np.float32)
