"""The weights' file of a package: blobs, each behind a header that says its type and size.

The layout is that of MILBlob (apple/coremltools, ``mlmodel/src/MILBlob/Blob/StorageFormat.hpp``):
a file header of 64 bytes, then for each blob a header of 64 bytes and, where that points, the data.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinysr.errors import BundleError

from .program import bits, storage

__all__ = ["Blobs", "unpack"]

_HEADER = struct.Struct("<IIQQ")
_SENTINEL = 0xDEADBEEF
_FILE_HEADER = 64


class Blobs:
    """A weights' file, mapped into memory and read blob by blob."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._bytes: NDArray[np.uint8] = np.memmap(path, np.uint8, mode="r")
        except (OSError, ValueError) as error:
            raise BundleError(f"{path}: expected the package's weights: {error}") from error

    def read(self, offset: int, dtype: str, count: int) -> NDArray[Any]:
        """Return ``count`` elements of the blob whose header is at ``offset``.

        Raises:
            BundleError: no blob starts there, or it is not as large as it must be.
        """
        start, size = self._locate(offset)
        expected = -(-count * bits(dtype) // 8)
        if size != expected:
            raise BundleError(
                f"{self.path}: expected {expected} bytes of {dtype} at {offset}, found {size}"
            )
        return unpack(self._bytes[start : start + size], dtype, count)

    def _locate(self, offset: int) -> tuple[int, int]:
        end = len(self._bytes)
        if not _FILE_HEADER <= offset <= end - _HEADER.size:
            raise BundleError(f"{self.path}: expected a blob at {offset}, found the end at {end}")
        sentinel, _, size, start = _HEADER.unpack_from(self._bytes.data, offset)
        if sentinel != _SENTINEL or start + size > end:
            raise BundleError(f"{self.path}: expected a blob at {offset}, found other bytes")
        return start, size


def unpack(raw: NDArray[np.uint8], dtype: str, count: int) -> NDArray[Any]:
    """Return elements from their bytes; those of fewer than 8 bits lie lowest bits first."""
    width = bits(dtype)
    if width >= 8 or dtype == "bool":
        return np.frombuffer(raw.tobytes(), storage(dtype), count)
    if width in (1, 2, 4):
        parts = 8 // width
        shifts = np.arange(parts, dtype=np.uint8) * np.uint8(width)
        whole = ((raw[:, None] >> shifts) & np.uint8(2**width - 1)).reshape(-1)[:count]
    else:
        stream = np.unpackbits(raw, bitorder="little")[: count * width].reshape(count, width)
        whole = np.packbits(stream, axis=1, bitorder="little").reshape(-1)
    if dtype.startswith("u"):
        return whole
    return ((whole.astype(np.int8) ^ (1 << (width - 1))) - (1 << (width - 1))).astype(np.int8)
