"""Passing names that a killed program left behind, told from those in use by a lock.

Whoever makes a file or folder under a passing name holds a lock on it until it is done. The system
lets go of a lock when its process ends, however it ends. So what can be locked is abandoned.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .places import TEMPORARY_NAME

__all__ = ["hold", "remove_abandoned"]

_NAME = re.compile(re.escape(TEMPORARY_NAME.rstrip("0")) + r"[0-9a-f]{8}")

_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


@contextlib.contextmanager
def hold(path: Path) -> Iterator[None]:
    """Hold a passing name until the block ends; without locks on this system, hold nothing.

    Raises:
        FileNotFoundError: somebody took it for abandoned, in the moment before it was held.
    """
    locks = _find_locks()
    if locks is None:
        yield
        return
    held = os.open(path, _FLAGS)
    try:
        # Where a file system has no locks, nobody can take the name for abandoned either.
        with contextlib.suppress(OSError):
            locks.flock(held, locks.LOCK_EX)
        if not os.path.samestat(os.fstat(held), path.lstat()):
            raise FileNotFoundError(path)
        yield
    finally:
        os.close(held)


def remove_abandoned(folder: Path) -> int:
    """Remove what killed programs left in a folder, and return how many files and folders.

    A name that is in use is left, and so is one that can't be removed.
    """
    locks = _find_locks()
    if locks is None:
        return 0
    try:
        with os.scandir(folder) as entries:
            found = [folder / entry.name for entry in entries if _NAME.fullmatch(entry.name)]
    except OSError:
        return 0
    return sum(_remove_unheld(path, locks) for path in found)


def _remove_unheld(path: Path, locks: Any) -> bool:
    try:
        held = os.open(path, _FLAGS)
    except OSError:
        return False
    try:
        locks.flock(held, locks.LOCK_EX | locks.LOCK_NB)
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError:
        return False
    finally:
        os.close(held)
    return True


def _find_locks() -> Any:
    """Return the module of file locks; None on a system without them."""
    try:
        return importlib.import_module("fcntl")
    except ImportError:
        return None
