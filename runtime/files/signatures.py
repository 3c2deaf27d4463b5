"""Names of formats that are not read here, told by their first bytes, for the error."""

from __future__ import annotations

__all__ = ["name_of", "remedy_for"]

_STARTS = {
    b"8BPS": "a Photoshop document",
    b"%PDF": "a PDF document",
    b"DDS ": "a DDS texture",
    b"\x76\x2f\x31\x01": "an OpenEXR image",
    b"<svg": "an SVG drawing",
    b"<!DOCTYPE": "a web page",
    b"<html": "a web page",
    b"version https://git-lfs": "a Git LFS pointer",
    b"IIRO": "a raw photo",
    b"IIRS": "a raw photo",
    b"IIU\0": "a raw photo",
    b"FUJIFILM": "a raw photo",
}

_BRANDS = {
    b"crx ": "a raw photo",
}
"""Major brands of files in ISO's container."""

_REMEDIES = {
    "a Git LFS pointer": "fetch the file with git lfs pull",
    "a web page": "download the image itself",
    "a PDF document": "export its pages as images",
    "a video or another image": "save a frame as PNG",
    "a raw photo": "develop it first, to TIFF or JPEG",
    "an empty file": "copy or download it again",
    "something else": "open it in an image program and save it as PNG",
}
_CONVERT = "convert it to PNG first"
"""Advice for an image of any other format."""

_NETPBM = {b"P7", b"PF", b"Pf"}


def name_of(data: bytes) -> str:
    """Return what a file is that is none of the formats read here, with its article."""
    if not data:
        return "an empty file"
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "a video or another image")
    if data[:2] in _NETPBM and data[2:3].isspace():
        return "a Netpbm image"
    words = data.lstrip()
    known = (name for start, name in _STARTS.items() if words.startswith(start))
    return next(known, "something else")


def remedy_for(name: str) -> str:
    """Return what to do with a file of a name that :func:`name_of` gave."""
    return _REMEDIES.get(name, _CONVERT)
