"""Rasters to PNG and TIFF files, in their own depth, by libvips: a band of rows at a time.

libvips writes the pixels. It would also write metadata, but not as it is given it: it adds a
resolution and EXIF data where there were none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from ..metadata.tiff import put_metadata_in_tiff
from ..raster import Raster
from ..vips import image_from_pixels, pyvips, use_vips
from .png import PIXELS, metadata_chunks

__all__ = ["write_png", "write_tiff"]

_PNG_START = 33
"""Bytes of a PNG file's signature and of its chunk IHDR."""

_LARGEST_CLASSIC = 2**32 - 2**27
"""Bytes of pixels, above which a TIFF file needs offsets of 8 bytes."""

_NO_METADATA = pyvips.enums.ForeignKeep.NONE


def write_png(raster: Raster, file: BinaryIO) -> None:
    """Write 8 or 16 bits; metadata is the raster's, byte for byte.

    Raises:
        OSError: the file can't be written.
    """
    sink = _PngSink(file, metadata_chunks(raster.metadata))
    sink.save("pngsave_target", raster, compression=4)


def write_tiff(raster: Raster, file: BinaryIO) -> None:
    """Write 8 or 16 bits or floats, deflated without loss.

    Raises:
        OSError: the file can't be written.
    """
    pixels = raster.pixels
    _Sink(file).save(
        "tiffsave_target",
        raster,
        compression="deflate",
        predictor="none" if pixels.dtype == np.float32 else "horizontal",
        bigtiff=pixels.nbytes > _LARGEST_CLASSIC,
    )
    put_metadata_in_tiff(file, raster.metadata)


class _Sink:
    """Hands what libvips writes to a file, and errors of the file to the caller."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._error: BaseException | None = None

    def save(self, operation: str, raster: Raster, **options: Any) -> None:
        try:
            with use_vips():
                image = image_from_pixels(np.ascontiguousarray(raster.pixels))
                target = pyvips.TargetCustom()
                target.on_write(self._guard(self.write))
                target.on_read(self._guard(self._file.read, failed=None))
                target.on_seek(self._guard(self._file.seek))
                pyvips.Operation.call(operation, image, target, keep=_NO_METADATA, **options)
        except pyvips.Error as error:
            raise self._error or OSError(" ".join(error.detail.split())) from error
        if self._error is not None:
            raise self._error

    def write(self, data: Any) -> int:
        self._file.write(data)
        return len(data)

    def _guard(self, function: Callable[..., Any], failed: Any = -1) -> Callable[..., Any]:
        """Return a function for libvips, through whose C code nothing can be raised."""

        def call(*arguments: Any) -> Any:
            if self._error is not None:
                return failed
            try:
                return function(*arguments)
            except BaseException as error:
                self._error = error
                return failed

        return call


class _PngSink(_Sink):
    """Puts other chunks where libvips has its own: between IHDR and the first with pixels."""

    def __init__(self, file: BinaryIO, chunks: bytes) -> None:
        super().__init__(file)
        self._chunks, self._head, self._in_head = chunks, b"", True

    def write(self, data: Any) -> int:
        if not self._in_head:
            return super().write(data)
        self._head += bytes(data)
        at = self._head.find(PIXELS, _PNG_START)
        if at >= 0:
            self._in_head = False
            self._file.write(self._head[:_PNG_START] + self._chunks + self._head[at - 4 :])
        return len(data)
