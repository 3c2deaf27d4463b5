"""Files that are there complete, or as they were before."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .errors import BundleError, TinySRError

__all__ = ["replaced", "write_atomically"]


def write_atomically(path: Path, data: str | bytes, error: type[TinySRError] = BundleError) -> None:
    """Write a file, with the folders that it lies in, whole or not at all.

    Args:
        path: the file; one that exists is replaced and keeps its permissions.
        data: a text, written in UTF-8 with its line ends as they are, or bytes.
        error: what is raised when it can't be written.
    """
    content = data.encode() if isinstance(data, str) else data
    with replaced(path, error) as temporary, temporary.open("r+b") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def replaced(path: Path, error: type[TinySRError] = BundleError) -> Iterator[Path]:
    """Yield an empty file that takes the place of ``path`` when the block ends without error.

    Args:
        path: the file; one that exists is replaced and keeps its permissions. Missing folders
            are made.
        error: what is raised when it can't be written.

    Raises:
        TinySRError: of the kind ``error``, for every OSError on the way.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        try:
            yield temporary
            temporary.chmod(_mode(path))
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as problem:
        raise error(f"{path}: can't be written: {problem.strerror}") from problem


def _mode(path: Path) -> int:
    """Return the permissions a file has, or those that a new one gets."""
    if path.exists():
        return path.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
