"""EXIF data, XMP and words in a PNG file, wherever they stand: behind the pixels too."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from .jpeg_packets import iptc_of_resources
from .limits import MOST_METADATA
from .png import XMP_KEYWORD, chunks_of

__all__ = ["Packets", "comment_of_texts", "is_comment", "packets_of_png"]

_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_PROFILE = b"Raw profile type "
"""Begins keywords of ImageMagick's, for what has chunks of its own today, in hexadecimal digits."""
_EXIF_PROFILES = (b"exif", b"APP1")
_IPTC_PROFILES = (b"iptc", b"8bim")
_DATA_SET = b"\x1c"
"""Begin of IPTC data that is not among Photoshop's resources."""
_LONGEST_KEYWORD = 79
_EXIF_START = b"Exif\0\0"


@dataclass(frozen=True, kw_only=True, slots=True)
class Packets:
    """Metadata of a file's picture: EXIF data, XMP and words."""

    exif: bytes | None
    xmp: bytes | None
    iptc: bytes | None
    texts: tuple[tuple[bytes, bytes], ...]
    """Kinds and bodies of chunks with other words, as they lie."""


def packets_of_png(data: bytes) -> Packets:
    """Return what a file says of its picture, up to :data:`MOST_METADATA` bytes of each.

    Of each kind the first counts, damaged or not, so that a file of thousands is read soon.
    """
    packets: dict[str, bytes | None] = {}
    texts, size = [], 0
    for kind, body in chunks_of(data):
        if kind == b"eXIf":
            packets.setdefault("exif", body if len(body) <= MOST_METADATA else None)
        keyword, nul, words = body.partition(b"\0") if kind in _TEXTS else (b"", b"", b"")
        if not nul or not 0 < len(keyword) <= _LONGEST_KEYWORD:
            continue
        if keyword == XMP_KEYWORD:
            if "xmp" not in packets:
                packets["xmp"] = _read_international(words)
        elif keyword.startswith(_PROFILE):
            name = keyword.removeprefix(_PROFILE)
            if name in _EXIF_PROFILES and "profile" not in packets:
                packets["profile"] = _exif_in_profile(kind, words)
            if name in _IPTC_PROFILES and name.decode() not in packets:
                packets[name.decode()] = _iptc_in_profile(kind, words)
        elif size + len(body) <= MOST_METADATA:
            size += len(body)
            texts.append((kind, body))
    exif = packets.get("exif") or packets.get("profile")
    iptc = packets.get("iptc") or packets.get("8bim")
    return Packets(exif=exif, xmp=packets.get("xmp"), iptc=iptc, texts=tuple(texts))


def is_comment(text: tuple[bytes, bytes]) -> bool:
    """Tell whether a chunk's words are called a comment."""
    return text[1].startswith(b"Comment\0")


def comment_of_texts(texts: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """Return the words of the chunk that is called a comment, in UTF-8, or none."""
    for kind, body in texts:
        keyword, _, words = body.partition(b"\0")
        if keyword != b"Comment":
            continue
        if kind == b"iTXt":
            return _read_international(words) or None
        plain = _inflate(words[1:]) if kind == b"zTXt" else words
        return (plain or b"").decode("latin-1").encode() or None
    return None


def _read_international(words: bytes) -> bytes | None:
    """Return the text of a chunk iTXt, given all behind its keyword."""
    compressed, rest = words[:1] == b"\1", words[2:].split(b"\0", 2)
    if len(rest) < 3 or len(rest[2]) > MOST_METADATA:
        return None
    return _inflate(rest[2]) if compressed else rest[2]


def _exif_in_profile(kind: bytes, words: bytes) -> bytes | None:
    block = _read_profile(kind, words)
    return block if block.startswith((_EXIF_START, b"II", b"MM")) else None


def _iptc_in_profile(kind: bytes, words: bytes) -> bytes | None:
    block = _read_profile(kind, words)
    block = iptc_of_resources(block) or block
    return block if block.startswith(_DATA_SET) else None


def _read_profile(kind: bytes, words: bytes) -> bytes:
    """Return data out of lines: its name, its length, and hexadecimal digits."""
    text = _inflate(words[1:]) if kind == b"zTXt" else words if kind == b"tEXt" else None
    lines = (text or b"").split(None, 2)
    try:
        return bytes.fromhex(lines[2].decode("ascii")) if len(lines) == 3 else b""
    except ValueError:
        return b""


def _inflate(packed: bytes) -> bytes | None:
    """Return what was deflated; none if it is damaged or larger than any packet is."""
    stream = zlib.decompressobj()
    try:
        found = stream.decompress(packed, MOST_METADATA)
    except zlib.error:
        return None
    return found if stream.eof else None
