"""Folders: which of their files are images, by their suffixes, and without one by content."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tinysr import paths

from ..files import INPUT_SUFFIXES, START, find_kind

__all__ = ["Found", "walk"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """Files in a folder and the folders inside it."""

    images: tuple[Path, ...]
    """Sorted."""
    unreadable: dict[Path, str] = field(default_factory=dict)
    """Folders that can't be listed, and why."""
    others: Counter[str] = field(default_factory=Counter)
    """Suffixes of the files that were left out, and how many have each."""


def walk(folder: Path, leave_out: Path) -> Found:
    """Look for images by their suffixes; a file without one is one if it begins like one.

    Hidden files and folders are left out, files being written by us among them; so are links to
    folders, which may lead in circles, and whatever is not a file, such as a pipe.

    Args:
        folder: where to look.
        leave_out: an output folder, which may lie inside ``folder``.
    """
    output, top = paths.follow_links(leave_out), paths.follow_links(folder)
    images: list[Path] = []
    others: Counter[str] = Counter()
    errors: list[OSError] = []
    for root, inner, names in os.walk(folder, onerror=errors.append):
        inner[:] = [name for name in inner if not name.startswith(".")]
        if output != top:
            inner[:] = [name for name in inner if paths.follow_links(Path(root, name)) != output]
        for path in (Path(root, name) for name in names if not name.startswith(".")):
            suffix = path.suffix.lower()
            if suffix not in INPUT_SUFFIXES and not _begins_like_image(path):
                others[suffix if _is_word(suffix) else ""] += 1
            elif paths.may_be_file(path):  # a link that leads nowhere is reported when it is read
                images.append(path)
    unreadable = {Path(error.filename): error.strerror or "" for error in errors}
    return Found(images=tuple(sorted(images)), unreadable=unreadable, others=others)


def _is_word(suffix: str) -> bool:
    """Tell whether a suffix says a kind: what is behind a name's last dot may be a date."""
    return suffix[1:2].isalpha() and suffix[1:].isalnum()


def _begins_like_image(path: Path) -> bool:
    if _is_word(path.suffix):
        return False
    start = paths.read_start(path, START)
    return bool(start) and find_kind(start or b"") is not None
