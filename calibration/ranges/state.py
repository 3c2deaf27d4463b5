"""State of a calibration: one file per image, so that an interrupted one goes on."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from tinysr import paths
from tinysr.atomic import write_atomically
from tinysr.errors import CalibrationError
from tinysr.records import StrictRecord

from ..traced.trace import Op
from .histogram import ImageRanges

__all__ = ["MeasuredFolder"]

_HEAD = "state.json"
_FOLDER = "measured"
_KEYS = ("absmax", "overflowing", "values", "counts")


class _Head(StrictRecord):
    model_sha256: str
    tile: int
    ops_sha256: str
    """Hash of the names of all operations: another version may take a model apart differently."""


class MeasuredFolder:
    """A folder with one measured file for each image's hash."""

    def __init__(self, folder: Path, ops: Sequence[Op], *, model_sha256: str, tile: int) -> None:
        """Open the state of a model, or begin one.

        Raises:
            CalibrationError: the folder holds that of another model or tile, or can't be used.
        """
        self._folder = folder
        self._count = len(ops)
        names = "\n".join(op.name for op in ops)
        head = _Head(
            model_sha256=model_sha256,
            tile=tile,
            ops_sha256=hashlib.sha256(names.encode()).hexdigest(),
        )
        path = folder / _HEAD
        if paths.exists(path, CalibrationError):
            _check(_read_head(path), head, folder)
            return
        write_atomically(path, head.model_dump_json(indent=2) + "\n", CalibrationError)

    def get(self, image_sha256: str) -> ImageRanges | None:
        """Return what was seen on an image; None when it is still to be measured.

        A file that is damaged counts as none.
        """
        empty = ImageRanges.empty(0)
        try:
            with np.load(self._path(image_sha256), allow_pickle=False) as data:
                arrays = {key: data[key] for key in _KEYS}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
            return None
        for key, array in arrays.items():
            like: NDArray[np.generic] = getattr(empty, key)
            if array.shape != (self._count, *like.shape[1:]) or array.dtype != like.dtype:
                return None
        return ImageRanges(**arrays)

    def put(self, image_sha256: str, measured: ImageRanges) -> None:
        """Keep what was seen on an image; the file is complete or absent."""
        buffer = io.BytesIO()
        arrays = {key: getattr(measured, key) for key in _KEYS}
        np.savez_compressed(buffer, **arrays)
        write_atomically(self._path(image_sha256), buffer.getvalue(), CalibrationError)

    def _path(self, image_sha256: str) -> Path:
        return self._folder / _FOLDER / f"{image_sha256}.npz"


def _read_head(path: Path) -> _Head:
    try:
        return _Head.model_validate_json(path.read_bytes())
    except (OSError, ValidationError) as error:
        raise CalibrationError(
            f"{path}: expected the state of a calibration, found none that can be read; "
            "remove the folder, or choose another --output"
        ) from error


def _check(found: _Head, expected: _Head, folder: Path) -> None:
    if found == expected:
        return
    if found.model_sha256 != expected.model_sha256:
        what = (
            f"the model with SHA-256 {expected.model_sha256[:12]}…, found the calibration of "
            f"{found.model_sha256[:12]}…"
        )
    elif found.tile != expected.tile:
        what = f"tiles of {expected.tile}, found a calibration on tiles of {found.tile}"
    else:
        what = "the operations of this version, found those of another"
    raise CalibrationError(
        f"{folder}: expected {what}; remove the folder, or choose another --output"
    )
