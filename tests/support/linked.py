"""Folders as the tools of others leave them: made of links into a store."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

__all__ = ["LAYOUTS"]


def hugging_face(folder: Path, place: Path) -> Path:
    """Every file is a relative link to a blob with a hash for a name, all in one folder."""
    return _linked(folder, place / "snapshots" / "abc", place / "blobs", _hash, relative=True)


def git_annex(folder: Path, place: Path) -> Path:
    """Every file is a relative link to a folder of its own, read-only."""
    return _linked(
        folder, place / "work", place / "objects", lambda p: f"{_hash(p)}/{_hash(p)}", relative=True
    )


def dvc(folder: Path, place: Path) -> Path:
    """Every file is an absolute link to a name without suffix, in folders by its first digits."""
    return _linked(folder, place / "work", place / "cache", lambda p: f"{_hash(p)[:2]}/{_hash(p)}")


def uv(folder: Path, place: Path) -> Path:
    """Every file is an absolute link to the same path in an archive."""
    return _linked(
        folder, place / "site", place / "archive", lambda p: p.relative_to(folder).as_posix()
    )


def linked_folders(folder: Path, place: Path) -> Path:
    """The folders inside are links, as of people who keep large files on another disk."""
    made = place / "linked"
    made.mkdir(parents=True)
    for path in folder.iterdir():
        if path.is_dir():
            (made / path.name).symlink_to(shutil.copytree(path, place / "disk" / path.name))
        else:
            shutil.copy(path, made)
    return made


def linked_itself(folder: Path, place: Path) -> Path:
    """The folder is a link."""
    (place / "link").symlink_to(shutil.copytree(folder, place / "real"))
    return place / "link"


LAYOUTS: dict[str, Callable[[Path, Path], Path]] = {
    made.__name__: made
    for made in (hugging_face, git_annex, dvc, uv, linked_folders, linked_itself)
}
"""Functions that make a linked copy of a folder in a place that is there, and return it."""


def _linked(
    folder: Path,
    made: Path,
    store: Path,
    name: Callable[[Path], str],
    *,
    relative: bool = False,
) -> Path:
    for source in sorted(path for path in folder.rglob("*") if path.is_file()):
        kept, link = store / name(source), made / source.relative_to(folder)
        kept.parent.mkdir(parents=True, exist_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        if not kept.exists():
            shutil.copy(source, kept)
            kept.chmod(0o444)
        link.symlink_to(os.path.relpath(kept, link.parent) if relative else kept)
    return made


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
