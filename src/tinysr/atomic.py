"""Files and folders that are there complete, or as they were before.

What is being made has a short hidden name beside its place, so it fits wherever the place's own
name does. Such names are kept in a list of the process: whatever ends a program can remove them,
those of other threads included.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from . import paths, places
from .abandoned import hold
from .errors import BundleError, TinySRError

__all__ = [
    "remove_unfinished",
    "replace_atomically",
    "replace_folder",
    "share",
    "temporary_folder",
    "write_atomically",
]

_unfinished: set[Path] = set()
"""Files and folders that are being made now, in any thread."""


def write_atomically(path: Path, data: str | bytes, error: type[TinySRError] = BundleError) -> None:
    """Write a file, with the folders that it lies in, whole or not at all.

    Args:
        path: the file; one that exists is replaced and keeps its permissions.
        data: a text, written in UTF-8 with its line ends as they are, or bytes.
        error: what is raised when it can't be written.
    """
    content = data.encode() if isinstance(data, str) else data
    with replace_atomically(path, error) as temporary, temporary.open("r+b") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


@contextlib.contextmanager
def replace_atomically(path: Path, error: type[TinySRError] = BundleError) -> Iterator[Path]:
    """Yield an empty file that takes the place of ``path`` when the block ends without error.

    Args:
        path: the file; one that exists is replaced and keeps its permissions. Missing folders
            are made.
        error: what is raised when it can't be written.

    Raises:
        TinySRError: of the kind ``error``, for every OSError on the way.
    """
    temporary = _choose_path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _track(temporary):
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            with hold(temporary):
                yield temporary
                with contextlib.suppress(FileNotFoundError):
                    temporary.chmod(path.stat().st_mode & 0o777)
                temporary.replace(path)
    except OSError as problem:
        raise error(f"{path}: can't be written: {paths.reason(problem)}") from problem


@contextlib.contextmanager
def temporary_folder(beside: Path) -> Iterator[Path]:
    """Yield a new folder beside a path; what is left of it at the end of the block is removed.

    Raises:
        OSError: it can't be made.
    """
    folder = _choose_path(beside)
    with _track(folder):
        folder.mkdir(mode=0o700)
        with hold(folder):
            yield folder


def replace_folder(target: Path, new: Path) -> None:
    """Put a folder in the place of another, which is removed.

    That takes two steps: the old one moves aside, and back if the second fails or is interrupted.

    Raises:
        OSError: it can't be moved.
    """
    aside = _choose_path(target)
    try:
        target.rename(aside)
        with hold(aside):
            new.rename(target)
    except BaseException:
        if not target.is_dir() and aside.is_dir():
            aside.rename(target)
        raise
    with _track(aside):
        pass


def remove_unfinished(folder: Path | None = None) -> None:
    """Remove what is being made, and will not be finished: the program ends.

    Args:
        folder: only what lies in this one; everything if None.
    """
    for path in tuple(_unfinished):
        if folder in (None, path.parent):
            _remove(path)


def share(folder: Path, name: str, target: Path) -> None:
    """Put a file of a folder in a further place: on one disk the same file, else a copy.

    A file that is reached through a link belongs to another tool's store, and is copied.

    Raises:
        OSError: it can't be read or written.
    """
    source = folder / name
    try:
        if not paths.is_linked(source, folder):
            os.link(source, target)
            return
    except OSError:  # another file system, or one without links
        pass
    shutil.copyfile(source, target)


@contextlib.contextmanager
def _track(path: Path) -> Iterator[None]:
    """Keep a path in the list until the block ends, and remove what then lies there."""
    _unfinished.add(path)
    try:
        yield
    finally:
        _remove(path)
        _unfinished.discard(path)


def _choose_path(path: Path) -> Path:
    """Return a path in the same folder for what is not finished."""
    digits = len(places.TEMPORARY_NAME.rpartition("-")[2])
    prefix = places.TEMPORARY_NAME[:-digits]
    return path.with_name(f"{prefix}{secrets.token_hex(digits // 2)}")


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # it is gone if all went well
        path.unlink()
    shutil.rmtree(path, ignore_errors=True)
