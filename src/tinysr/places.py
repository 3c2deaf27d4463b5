"""Places where files and folders are to be made: whether they can be, before the work is done."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from . import paths
from .errors import TinySRError

__all__ = ["TEMPORARY_NAME", "check_creatable", "check_file", "fit_name"]

TEMPORARY_NAME = ".tinysr-00000000"
"""Pattern of the names of temporary files: hidden, and shorter than any limit on names."""

_NAME_BYTES = 255
"""Longest name where the system does not tell its own limit."""


def check_creatable(path: Path, error: type[TinySRError]) -> None:
    """Refuse a place where no file or folder can be made, before the work for it is done.

    Missing folders on the way count as made.

    Raises:
        TinySRError: of the kind ``error``: a name or the whole path is too long, what should be
            a folder is none, or its folder may not be written.
    """
    paths.look(path, error)
    paths.look(path.parent / TEMPORARY_NAME, error)  # it is written under such a name at first
    folder = path.parent
    while not paths.exists(folder, error) and folder != folder.parent:
        folder = folder.parent
    if not paths.is_folder(folder, error):
        raise error(f"{path}: can't be written: {folder} is not a folder")
    most = _longest_name(folder)
    for part in path.relative_to(folder).parts:
        if len(os.fsencode(part)) > most:
            raise error(f"{path}: can't be written: expected names of at most {most} bytes")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise error(f"{path}: can't be written: no permission to write in {folder}")


def check_file(path: Path, error: type[TinySRError]) -> None:
    """Refuse a place where no file can be written; raises as :func:`check_creatable`."""
    if paths.is_folder(path, error):
        raise error(f"{path}: expected a file to write, found a folder")
    check_creatable(path, error)


def fit_name(path: Path, suffix: str) -> Path:
    """Return a path with a suffix added to its name; a name that gets too long is cut for it.

    A cut name has some digits of its hash, so that two of them stay apart.
    """
    name, most = path.name, _longest_name(path.parent)
    if len(os.fsencode(name + suffix)) <= most:
        return path.with_name(name + suffix)
    mark = f"-{hashlib.sha256(os.fsencode(name)).hexdigest()[:8]}{suffix}"
    while len(os.fsencode(name + mark)) > most:
        name = name[:-1]
    return path.with_name(name + mark)


def _longest_name(folder: Path) -> int:
    """Return the bytes that a name in a folder may have."""
    try:
        return os.pathconf(folder, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # Windows, or the folder is not there yet
        return _NAME_BYTES
