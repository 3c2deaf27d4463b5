"""Integrity of a bundle's files: each is compared with the manifest's size and hash."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tinysr import paths
from tinysr.manifest import FileEntry

from . import hashes

__all__ = ["Fault", "find_fault"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """What is wrong with a file."""

    kind: Literal["missing", "unreadable", "changed"]
    words: str
    """Words for an error line, behind the file's path."""


def find_fault(
    folder: Path, entry: FileEntry, digest_of: Callable[[Path], str] | None = None
) -> Fault | None:
    """Compare a bundle's file with its entry; None if all is well.

    Links count as the file that they lead to, wherever that lies: the caches of other tools are
    made of them. It is the hash that says whether it is the right one, and of a file outside the
    bundle that is not, nothing is told.

    Args:
        folder: the bundle's.
        entry: what the manifest says.
        digest_of: returns a file's SHA-256; by default that of a large file may be remembered.
    """
    path = folder / entry.path
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):  # a device or a pipe might be read without end
            return Fault(kind="changed", words="expected a regular file, found something else")
        digest = (digest_of or hashes.look_up_sha256)(path) if found.st_size == entry.size else ""
    except (OSError, ValueError) as problem:
        absent = isinstance(problem, FileNotFoundError | NotADirectoryError)
        kind: Literal["missing", "unreadable"] = "missing" if absent else "unreadable"
        return Fault(kind=kind, words=paths.reason(problem))
    if digest == entry.sha256:
        return None
    return Fault(kind="changed", words=_difference(folder, entry, found.st_size, digest))


def _difference(folder: Path, entry: FileEntry, size: int, digest: str) -> str:
    path = folder / entry.path
    if not paths.follow_links(path).is_relative_to(paths.follow_links(folder)):
        where = f"is a link to {paths.follow_links(path)}"
        return f"{where}, which is not the file that the manifest describes; get the bundle again"
    if size != entry.size:
        return f"expected {entry.size} bytes, found {size}; export the bundle again"
    return (
        f"expected SHA-256 {entry.sha256[:12]}…, found {digest[:12]}…; the file was changed, "
        "export the bundle again"
    )
