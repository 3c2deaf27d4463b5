"""Kinds of files that are read as images, told by their first bytes."""

from __future__ import annotations

__all__ = ["START", "find_kind"]

START = 64
"""Bytes at a file's begin that tell its kind."""

_STARTS = {
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpg",
    b"II*\0": "tiff",
    b"MM\0*": "tiff",
    b"II+\0": "tiff",
    b"MM\0+": "tiff",
    b"BM": "bmp",
    b"GIF87a": "gif",
    b"GIF89a": "gif",
    b"\0\0\0\x0cjP  \r\n\x87\n": "jp2",
    b"\xff\x4f\xff\x51": "jp2",
    b"\xff\x0a": "jxl",
    b"\0\0\0\x0cJXL \r\n\x87\n": "jxl",
    b"qoif": "qoi",
    b"\0\0\1\0": "ico",
}

_BRANDS = {
    "avif": {b"avif", b"avis"},
    "heic": {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"},
}
"""Brands of files in ISO's container; of a file with several the first format counts."""

_NETPBM = {b"P1", b"P2", b"P3", b"P4", b"P5", b"P6"}


def find_kind(data: bytes) -> str | None:
    """Return a format's name, given a file or its first bytes; none if it is not read here."""
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp":
        return _find_brand(data)
    if data[:2] in _NETPBM and (data[2:3].isspace() or data[2:3] == b"#"):
        return "netpbm"
    return next((name for start, name in _STARTS.items() if data.startswith(start)), None)


def _find_brand(data: bytes) -> str | None:
    """Return the format of a file in ISO's container, by its brands."""
    end = min(int.from_bytes(data[:4], "big"), len(data))
    brands = {data[8:12], *(data[at : at + 4] for at in range(16, end - 3, 4))}
    return next((name for name, known in _BRANDS.items() if known & brands), None)
