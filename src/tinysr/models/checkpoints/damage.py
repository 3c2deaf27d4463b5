"""Reasons why a file that could not be read is not the file it is named like.

Only a file that failed is looked at, so nothing that can be read is refused here.
"""

from __future__ import annotations

import json
from pathlib import Path

__all__ = ["describe_absence", "describe_cut", "describe_stand_in", "header_size"]

_HEAD = 1024  # bytes that tell what a file is
_QUOTED = 60  # characters of a text that a message shows
_SIZE_FIELD = 8  # bytes before a safetensors header: its length

_POINTER = "a pointer of {tool}, not the file itself: run '{command}' where it lies, or download it"
_STAND_INS = (
    (b"version https://git-lfs", _POINTER.format(tool="Git LFS", command="git lfs pull")),
    (b"/annex/objects/", _POINTER.format(tool="git-annex", command="git annex get")),
    (b"<!doctype html", "a saved web page, not the file itself: download it again, logged in"),
    (b"<html", "a saved web page, not the file itself: download it again, logged in"),
    (b"<?xml", "a server's answer in XML, not the file itself: download it again"),
    (b"\0\5\x16\7", "macOS's notes on a file, not the file itself: copy the one without '._'"),
    (b"gguf", "a GGUF file: take the same model's safetensors"),
    (b"\x89hdf", "an HDF5 file: take the same model's safetensors"),
    (b"\x1f\x8b", "a gzip archive: unpack it"),
)
_PICKLES = (b"pk\3\4", b"\x80\2", b"\x80\3", b"\x80\4", b"\x80\5")


def describe_absence(path: Path) -> str:
    """Return why a file is not there, and what to do."""
    if path.is_symlink():  # of git-annex, DVC or a cache, whose file was not fetched or is gone
        return f"it is a link to {path.readlink()}, which is not there: fetch it, or copy it here"
    pointer = path.with_name(f"{path.name}.dvc")
    if pointer.is_file():
        return f"only its pointer {pointer.name} is here: run 'dvc pull' where it lies"
    return "copy it here"


def describe_stand_in(path: Path, *, pickles: bool = False) -> str | None:
    """Return what a file is in place of the one expected, and what to do; None if unknown.

    Args:
        path: a file that could not be read as what its name says.
        pickles: whether the file may be one that ``torch.save`` writes.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    if not head:
        return "it is empty: download or copy it again"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n").lower()
    for sign, meaning in _STAND_INS:
        if start.startswith(sign):
            return f"it is {meaning}"
    if not pickles and start.startswith(_PICKLES):
        return "it is a zip archive or a pickle, which may hold code: save it as safetensors"
    if not head.strip(b"\0"):
        return "it begins with nothing but zeros, as a cut download does: download it again"
    text = _as_text(head)
    return None if text is None else f"it is a text that begins with '{text}': download it again"


def _as_text(head: bytes) -> str | None:
    """Return the first characters of a text on one line, None for what is not a text."""
    cut = head.rsplit(b"\n", 1)[0] if len(head) == _HEAD else head  # no half character at its end
    try:
        text = " ".join(cut.decode().split())
    except UnicodeDecodeError:
        return None
    return text[:_QUOTED] if text.isprintable() else None


def header_size(path: Path) -> int:
    """Return the bytes that a safetensors file says its header has; 0 for a shorter file."""
    with path.open("rb") as file:
        field = file.read(_SIZE_FIELD)
    return int.from_bytes(field, "little") if len(field) == _SIZE_FIELD else 0


def describe_cut(path: Path) -> str | None:
    """Return how much of a safetensors file is missing; None if that is not its fault."""
    try:
        size, header = path.stat().st_size, header_size(path)
        with path.open("rb") as file:
            start = file.read(_SIZE_FIELD + 1)[_SIZE_FIELD:]
            if start != b"{":
                return None
            if size < _SIZE_FIELD + header:
                return "it ends within its header, as a cut download does: download it again"
            file.seek(_SIZE_FIELD)
            entries = json.loads(file.read(header))
        ends = [entry["data_offsets"][1] for name, entry in entries.items() if name[:2] != "__"]
        expected = _SIZE_FIELD + header + max(ends, default=0)
    except (OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError):
        return None
    if size < expected:
        return f"it has {size:,} of {expected:,} bytes, as a cut download has: download it again"
    return None
