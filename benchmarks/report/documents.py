"""The project's documents, and the figures that commands write into them."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

from tinysr import paths
from tinysr.atomic import write_atomically
from tinysr.errors import UnsupportedError

__all__ = ["PAGES", "ROOT", "TOP", "documents", "fill_documents", "filled", "wrapped"]

ROOT = Path(__file__).parents[2]
"""The project's folder, where its documents are."""

TOP = ("README.md", "CONTRIBUTING.md")
"""Documents beside the folder of pages."""

PAGES = "docs"
"""Folder of the pages, each a Markdown file."""


def documents(root: Path = ROOT) -> list[Path]:
    """Return README, CONTRIBUTING and all pages that a project's folder has."""
    top = [path for name in TOP if paths.exists(path := root / name, UnsupportedError)]
    return [*top, *paths.find_matching(root / PAGES, "*.md", UnsupportedError)]


def fill_documents(root: Path, figures: Mapping[str, Sequence[str]]) -> list[Path]:
    """Write each block of figures between its markers, in every document that has them.

    Args:
        root: the project's folder.
        figures: Markdown lines by the block's name.

    Returns:
        The documents that have figures.

    Raises:
        UnsupportedError: no document has a block's markers, or a document can't be written.
    """
    texts = {path: path.read_text(encoding="utf-8") for path in documents(root)}
    changed: dict[Path, str] = {}
    for name, lines in figures.items():
        holders = [path for path, text in texts.items() if _begin(name) in text]
        if not holders:
            raise UnsupportedError(
                f"{root}: expected the marker {_begin(name)} in {', '.join(TOP)} or {PAGES}/*.md, "
                "found none"
            )
        for path in holders:
            changed[path] = texts[path] = filled(texts[path], name, ["", *lines, ""])
    for path, text in changed.items():
        write_atomically(path, text, UnsupportedError)
    return list(changed)


def filled(text: str, name: str, lines: Sequence[str]) -> str:
    """Return ``text`` with the block ``name`` replaced.

    Raises:
        UnsupportedError: the text lacks the block's markers.
    """
    begin, end = _begin(name), f"<!-- end:{name} -->"
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise UnsupportedError(f"expected the markers {begin} and {end}, found none")
    return "\n".join([f"{before}{begin}", *lines, f"{end}{after}"])


def wrapped(text: str, indent: str = "") -> list[str]:
    """Return a paragraph's lines, as wide as the documents' own; all but the first indented."""
    return textwrap.wrap(
        text, 100, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )


def _begin(name: str) -> str:
    return f"<!-- begin:{name} -->"
