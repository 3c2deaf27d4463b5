"""Folders: which of their files are images."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from tinysr import paths

from ..files import INPUT_SUFFIXES

__all__ = ["Found", "walk"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What lies in a folder and the folders inside it."""

    images: tuple[Path, ...]
    """Sorted."""
    unreadable: dict[Path, str] = field(default_factory=dict)
    """Folders that can't be listed, and why."""
    others: Counter[str] = field(default_factory=Counter)
    """Suffixes of the files that were left out, and how many have each."""


def walk(folder: Path, leave_out: Path) -> Found:
    """Look for images by their suffixes.

    Hidden files and folders are left out, files being written by us among them; so are links to
    folders, which may lead in circles, and whatever is no file, such as a pipe.

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
            if suffix not in INPUT_SUFFIXES:
                others[suffix] += 1
            elif paths.may_be_file(path):  # a link that leads nowhere is reported when it is read
                images.append(path)
    unreadable = {Path(error.filename): error.strerror or "" for error in errors}
    return Found(images=tuple(sorted(images)), unreadable=unreadable, others=others)
