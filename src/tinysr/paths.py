"""Questions about files that a user named: an answer or one error line, whatever happens.

``Path.exists()`` and its siblings raise where one may not enter, where links lead in a circle,
where a name is too long or a disk is gone, each in its own way. Here every such failure becomes
the caller's kind of error, which names the file and what the system said.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from .errors import TinySRError

__all__ = [
    "exists",
    "files_below",
    "find_matching",
    "follow_links",
    "is_file",
    "is_folder",
    "is_link",
    "is_linked",
    "is_text",
    "list_folder",
    "look",
    "may_be_file",
    "read_limited",
    "read_start",
    "reason",
    "show_name",
    "size",
]

Error = type[TinySRError]


def reason(problem: OSError | ValueError) -> str:
    """Return the system's words for a failure; a name that no file can have is a ValueError."""
    return getattr(problem, "strerror", None) or str(problem)


def look(path: Path, error: Error) -> os.stat_result | None:
    """Return what the system knows of a path, links followed, or None where nothing is.

    Raises:
        TinySRError: of the kind ``error``: the system does not say whether there is something.
    """
    try:
        return path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as problem:
        raise error(f"{path}: can't be accessed: {reason(problem)}") from problem


def exists(path: Path, error: Error) -> bool:
    """Tell whether there is something at a path; raises as :func:`look`."""
    return look(path, error) is not None


def is_file(path: Path, error: Error) -> bool:
    """Tell whether a path is a regular file; raises as :func:`look`."""
    found = look(path, error)
    return found is not None and stat.S_ISREG(found.st_mode)


def is_folder(path: Path, error: Error) -> bool:
    """Tell whether a path is a folder; raises as :func:`look`."""
    found = look(path, error)
    return found is not None and stat.S_ISDIR(found.st_mode)


def size(path: Path, error: Error) -> int:
    """Return a file's size in bytes, 0 where there is none; raises as :func:`look`."""
    found = look(path, error)
    return 0 if found is None else found.st_size


def is_link(path: Path) -> bool:
    """Tell whether a path is known to be a link, wherever it leads."""
    try:
        return stat.S_ISLNK(path.lstat().st_mode)
    except (OSError, ValueError):
        return False


def may_be_file(path: Path) -> bool:
    """Tell whether a path is a regular file, or one of which only its reader can say why not."""
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        return True


def is_text(path: Path) -> bool:
    """Tell whether a path is valid text, as libraries need it that take it in UTF-8."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


def show_name(path: Path) -> str:
    """Return a path's name as text; bytes that are none become question marks in diamonds."""
    return os.fsencode(path.name).decode(errors="replace")


def follow_links(path: Path) -> Path:
    """Return a path, absolute and with its links followed as far as they can be."""
    try:
        return Path(os.path.realpath(path))
    except (OSError, ValueError):  # it names nothing: whoever opens it says so
        return path


def is_linked(path: Path, below: Path) -> bool:
    """Tell whether a link lies on the way from a folder to a path in it."""
    return follow_links(path) != follow_links(below) / path.relative_to(below)


def list_folder(folder: Path, error: Error) -> list[Path]:
    """Return what lies in a folder, in the order of the names.

    Raises:
        TinySRError: of the kind ``error``: the folder can't be listed.
    """
    try:
        return sorted(folder.iterdir())
    except (OSError, ValueError) as problem:
        raise error(f"{folder}: can't be listed: {reason(problem)}") from problem


def find_matching(folder: Path, pattern: str, error: Error) -> list[Path]:
    """Return what lies in a folder under names that fit a pattern; nothing if it is none.

    Raises:
        TinySRError: of the kind ``error``: the folder can't be listed.
    """
    if not is_folder(folder, error):
        return []
    return [path for path in list_folder(folder, error) if fnmatchcase(path.name, pattern)]


def files_below(folder: Path, error: Error, *, through_links: bool = False) -> list[Path]:
    """Return all regular files in a folder and the folders inside it, sorted.

    Args:
        folder: where to look.
        error: what is raised.
        through_links: whether to enter folders that are links.

    Raises:
        TinySRError: of the kind ``error``: a folder can't be listed. A file that can't be reached
            is returned: its reader says why.
    """
    if not is_folder(folder, error):
        raise error(f"{folder}: can't be listed: expected a folder")

    def refuse(problem: OSError) -> None:
        raise error(f"{problem.filename}: can't be listed: {reason(problem)}") from problem

    def walk() -> Iterator[Path]:
        for root, _, names in os.walk(folder, onerror=refuse, followlinks=through_links):
            yield from (Path(root, name) for name in names)

    return sorted(path for path in walk() if _is_file_or_unreachable(path))


def _is_file_or_unreachable(path: Path) -> bool:
    try:
        return is_file(path, TinySRError)
    except TinySRError:
        return True


def read_limited(path: Path, most: int, error: Error) -> bytes | None:
    """Return the bytes of a small file, or None where nothing is.

    Args:
        path: the file.
        most: bytes that it may have.
        error: what is raised.

    Raises:
        TinySRError: of the kind ``error``: it can't be read, is too large or not a regular file.
    """
    found = look(path, error)
    if found is None:
        return None
    if not stat.S_ISREG(found.st_mode):
        raise error(f"{path}: expected a regular file, found something else")
    if found.st_size > most:
        raise error(f"{path}: expected at most {most / 2**20:.0f} MiB, found a huge file")
    try:
        return path.read_bytes()
    except OSError as problem:
        raise error(f"{path}: can't be read: {reason(problem)}") from problem


def read_start(path: Path, length: int) -> bytes | None:
    """Return the first bytes of a regular file, or None where they can't be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return None
        with path.open("rb", buffering=0) as file:
            return file.read(length)
    except (OSError, ValueError):
        return None
