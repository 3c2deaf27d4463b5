"""A folder of images to train on: any size and format that Pillow reads, damaged ones left out."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from tinysr import paths
from tinysr.errors import ImageError
from tinysr.training.spectral import Random

__all__ = ["Photos"]

_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})
_TRIES = 20
"""Files drawn before a folder is given up, when those drawn turn out damaged."""

_UNREADABLE = (OSError, ValueError, SyntaxError, Image.DecompressionBombError)
_LOG = logging.getLogger(__name__)


class Photos:
    """The usable images of a folder and of the folders in it, in the order of their names."""

    def __init__(self, folder: Path, side: int) -> None:
        """List the images that are no smaller than ``side`` pixels.

        Raises:
            ImageError: the folder can't be read, or no image in it can be used.
        """
        if not paths.is_folder(folder, ImageError):
            raise ImageError(f"{folder}: expected a folder of images")
        found = [
            path
            for path in paths.files_below(folder, ImageError)
            if path.suffix.lower() in _SUFFIXES
        ]
        problems = {path: _find_problem(path, side) for path in found}
        self.paths = [path for path in found if problems[path] is None]
        self.skipped = len(found) - len(self.paths)
        """Images that are damaged or too small."""
        self._damaged: set[Path] = set()
        for path, problem in problems.items():
            if problem:
                _LOG.warning("%s: skipped: %s", path, problem)
        if not self.paths:
            raise ImageError(
                f"{folder}: no image of {side} pixels or more to train on ({self.skipped} skipped)"
            )
        self.fingerprint = _fingerprint(folder, self.paths)

    def square(self, rng: Random, side: int) -> NDArray[np.uint8]:
        """Return a random square of a random image, ``[side, side, 3]``, at a random reduction.

        Raises:
            ImageError: none of the files drawn can be read to its end.
        """
        for _ in range(_TRIES):
            path = self.paths[int(rng.integers(len(self.paths)))]
            share = rng.random(3)
            try:
                return _square(path, side, share)
            except _UNREADABLE as error:
                # It is damaged in every session, so that a resumed run goes on as this one does.
                self._report(path, error)
        raise ImageError(f"{path.parent}: {_TRIES} images in a row are damaged: remove them")

    def _report(self, path: Path, error: Exception) -> None:
        if path not in self._damaged:
            self._damaged.add(path)
            self.skipped += 1
            _LOG.warning("%s: skipped: %s", path, error)


def _find_problem(path: Path, side: int) -> str | None:
    """Return why a file can't be used, from its header alone."""
    try:
        with Image.open(path) as image:
            if min(image.size) < side:
                return f"{image.width}×{image.height} pixels, expected {side} or more"
    except _UNREADABLE as error:
        return str(error)
    return None


def _fingerprint(folder: Path, found: list[Path]) -> str:
    """Return the SHA-256 of the images' names and sizes: what a resumed run must find again."""
    rows = [
        f"{path.relative_to(folder).as_posix()} {paths.size(path, ImageError)}" for path in found
    ]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


def _square(path: Path, side: int, share: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Cut a square; ``share`` in [0, 1) places it between all possible reductions and places."""
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    # Reduced photos are sharp to the pixel; at full size most are not.
    smallest = side / min(image.size)
    factor = float(np.exp(share[0] * np.log(smallest)))
    reduced = [max(side, round(length * factor)) for length in image.size]
    reach = [length / target for length, target in zip(image.size, reduced, strict=True)]
    left, top = (int(s * (t - side + 1)) for s, t in zip(share[1:], reduced, strict=True))
    box = (
        left * reach[0],
        top * reach[1],
        (left + side) * reach[0],
        (top + side) * reach[1],
    )
    square = image.resize((side, side), Image.Resampling.LANCZOS, box=box)
    return np.asarray(square, np.uint8)
