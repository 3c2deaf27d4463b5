"""Files of ``torch.save``: a zip archive with a pickle, and the numbers of each storage.

Tensors are read one by one, when they are asked for, once their sizes are held against the file's.
"""

from __future__ import annotations

import math
import pickle
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.damage import describe_absence, describe_stand_in
from tinysr.models.checkpoints.files import check_finite
from tinysr.models.checkpoints.pickles import FLOATS, PickledTensor, Storage, read_pickle

__all__ = ["TorchFile", "open_torch_file"]

_PROGRAM = "data.pkl"
_MOST_PROGRAM = 16 * 2**20  # bytes: a thousand tensors take some hundred kB

_DAMAGE = (OSError, EOFError, zipfile.BadZipFile, RuntimeError, ValueError, KeyError)
"""Errors that Python's archives raise for a damaged file, encrypted members among them."""


class TorchFile:
    """An open file of ``torch.save``."""

    def __init__(self, path: Path, archive: zipfile.ZipFile) -> None:
        """Read the pickle.

        Raises:
            CheckpointError: it is missing, huge, damaged or hostile.
        """
        self._path, self._archive = path, archive
        self._last: tuple[str, Tensor] | None = None
        names = [name for name in archive.namelist() if name.split("/")[1:] == [_PROGRAM]]
        if len(names) != 1:
            raise CheckpointError(f"{path}: expected a file of torch.save, found another archive")
        self._folder = names[0].removesuffix(_PROGRAM)
        if self._folder + "byteorder" in archive.namelist():
            order = self._read_member("byteorder", 16)
            if order != b"little":
                raise CheckpointError(f"{path}: its numbers are not little-endian: save it again")
        try:
            self.root: object = read_pickle(self._read_member(_PROGRAM, _MOST_PROGRAM))
        except pickle.UnpicklingError as error:
            raise CheckpointError(f"{path}: refused: {error}") from error

    def read(self, name: str, tensor: PickledTensor) -> Tensor:
        """Return a tensor's values as fp32.

        Args:
            name: for messages.
            tensor: from this file's pickle.

        Raises:
            CheckpointError: it is not of floats, claims more numbers than the file holds, or has
                NaN or infinite values.
        """
        storage, offset, shape, strides = tensor
        if storage.dtype not in FLOATS:
            raise CheckpointError(
                f"{self._path}: tensor '{name}' is {storage.dtype}, expected floats"
            )
        numbers = self._read_storage(storage)
        last = sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
        if math.prod(shape) > len(numbers) or offset + last >= len(numbers):
            raise CheckpointError(
                f"{self._path}: tensor '{name}' claims {list(shape)}, its storage has "
                f"{len(numbers)} numbers"
            )
        values = numbers.as_strided(shape, strides, offset).float()
        check_finite(name, values, self._path)
        return values.clone(memory_format=torch.contiguous_format)

    def _read_storage(self, storage: Storage) -> Tensor:
        if self._last is None or self._last[0] != storage.key:
            self._last = None  # two at once would be twice the memory
            member = f"data/{storage.key}"
            data = bytearray(self._read_member(member, self._path.stat().st_size))
            usable = len(data) // storage.dtype.itemsize
            empty = torch.empty(0, dtype=storage.dtype)
            numbers = torch.frombuffer(data, dtype=storage.dtype, count=usable) if usable else empty
            self._last = (storage.key, numbers)
        return self._last[1]

    def _read_member(self, name: str, most: int) -> bytes:
        try:
            info = self._archive.getinfo(self._folder + name)
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > most:
                raise CheckpointError(
                    f"{self._path}: its part '{name[:60]}' has {info.file_size:,} bytes, expected "
                    f"{most:,} at most and no compression"
                )
            return self._archive.read(info)
        except _DAMAGE as error:
            reason = str(error).split("\n")[0][:120]
            raise CheckpointError(f"{self._path}: the file is damaged: {reason}") from error


@contextmanager
def open_torch_file(path: Path, most_bytes: int) -> Iterator[TorchFile]:
    """Open a file of ``torch.save``.

    Args:
        path: the file.
        most_bytes: that it may have, which is its layout's to say.

    Raises:
        CheckpointError: it is missing, too large, damaged or hostile, or of a PyTorch before 1.6.
    """
    try:
        size = path.stat().st_size
    except OSError as error:
        raise CheckpointError(f"{path}: can't be read: {describe_absence(path)}") from error
    if size > most_bytes:
        raise CheckpointError(
            f"{path}: expected {most_bytes / 2**30:g} GiB at most, found {size / 2**30:.1f} GiB"
        )
    try:
        archive = zipfile.ZipFile(path)
    except _DAMAGE as error:
        meaning = describe_stand_in(path, pickles=True) or (
            "it is cut or damaged, or was saved by PyTorch before 1.6: download it or save it again"
        )
        raise CheckpointError(f"{path}: not a file of torch.save: {meaning}") from error
    with archive:
        yield TorchFile(path, archive)
