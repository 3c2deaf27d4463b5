"""Metadata in segments of a JPEG file that libvips leaves out: long XMP, IPTC, comments.

Source: XMP specification, part 3, section 1.1.3; IPTC-NAA information interchange in Photoshop's
image resources.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

from .limits import MOST_METADATA

__all__ = [
    "comment_of_jpeg",
    "iptc_of_jpeg",
    "iptc_of_resources",
    "resource_of_iptc",
    "segments_of",
    "xmp_of_jpeg",
]

_MOST_SEGMENT = 65_533
"""Bytes of a segment."""

_XMP, _EXTENSION = b"http://ns.adobe.com/xap/1.0/\0", b"http://ns.adobe.com/xmp/extension/\0"
_RESOURCES, _RESOURCE, _IPTC = b"Photoshop 3.0\0", b"8BIM", b"\x04\x04"
_APP1, _APP13, _COMMENT, _SCAN, _END = 0xE1, 0xED, 0xFE, 0xDA, 0xD9
_PREFIX = len(_EXTENSION) + 40
"""Bytes before a part of an extension: its name, and the whole's digest, length and the offset."""

_DIGEST = re.compile(rb"xmpNote:HasExtendedXMP(?:\s?=\s?[\"']|>)\s?([0-9A-Fa-f]{32})")
_INNER = re.compile(rb"<rdf:RDF\b[^>]*>(.*)</rdf:RDF>", re.DOTALL)
_CLOSING = b"</rdf:RDF>"
_MAIN = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
    b'syntax-ns#"><rdf:Description rdf:about="" xmlns:xmpNote="http://ns.adobe.com/xmp/note/" '
    b'xmpNote:HasExtendedXMP="%s"/></rdf:RDF></x:xmpmeta>'
)
_MOST_XMP = _MOST_SEGMENT - len(_XMP)


def xmp_of_jpeg(data: bytes) -> bytes | None:
    """Return a file's XMP whole: its packet, and in it what lies in further segments.

    What announces further segments stays in the packet where they are not all there.
    """
    main, parts = None, dict[bytes, dict[int, bytes]]()
    for marker, body in _segments(data):
        if marker != _APP1:
            continue
        if body.startswith(_XMP) and main is None:
            main = body[len(_XMP) :]
        elif body.startswith(_EXTENSION) and len(body) > _PREFIX:
            digest = body[len(_EXTENSION) : len(_EXTENSION) + 32].upper()
            offset = int.from_bytes(body[_PREFIX - 4 : _PREFIX], "big")
            parts.setdefault(digest, {}).setdefault(offset, body[_PREFIX:])
    found = _DIGEST.search(main) if main else None
    if main is None or found is None:
        return main
    digest = found.group(1).upper()
    extension = b"".join(part for _, part in sorted(parts.get(digest, {}).items()))
    if len(main) + len(extension) > MOST_METADATA:
        return main
    if hashlib.md5(extension, usedforsecurity=False).hexdigest().upper().encode() != digest:
        return main
    inner, at = _INNER.search(extension), main.rfind(_CLOSING)
    if inner is None or at < 0:
        return main
    return _remove_note(main[:at]) + inner.group(1) + main[at:]


def iptc_of_jpeg(data: bytes) -> bytes | None:
    """Return a file's IPTC data, or none; Photoshop's resources may go on in further segments."""
    block = b"".join(
        body[len(_RESOURCES) :]
        for marker, body in _segments(data)
        if marker == _APP13 and body.startswith(_RESOURCES)
    )
    return iptc_of_resources(block)


def iptc_of_resources(block: bytes) -> bytes | None:
    """Return the IPTC data among Photoshop's image resources, which may begin with their name."""
    block, at = block.removeprefix(_RESOURCES), 0
    while block[at : at + 4] == _RESOURCE and at + 12 <= len(block):
        name = 1 + block[at + 6]
        start = at + 6 + name + name % 2
        length = int.from_bytes(block[start : start + 4], "big")
        found = block[start + 4 : start + 4 + length]
        if block[at + 4 : at + 6] == _IPTC and len(found) == length:
            return found or None
        at = start + 4 + length + length % 2
    return None


def comment_of_jpeg(data: bytes) -> bytes | None:
    """Return a file's first comment, or none."""
    return next((body for marker, body in _segments(data) if marker == _COMMENT and body), None)


def segments_of(xmp: bytes | None, iptc: bytes | None, comment: bytes | None) -> Iterator[bytes]:
    """Yield segments to be put into a file; XMP that is too long for one goes into several."""
    if xmp is not None and len(xmp) > _MOST_XMP:
        digest = hashlib.md5(xmp, usedforsecurity=False).hexdigest().upper().encode()
        yield _segment(_APP1, _XMP + _MAIN % digest)
        step = _MOST_SEGMENT - _PREFIX
        for at in range(0, len(xmp), step):
            place = len(xmp).to_bytes(4, "big") + at.to_bytes(4, "big")
            yield _segment(_APP1, _EXTENSION + digest + place + xmp[at : at + step])
    elif xmp is not None:
        yield _segment(_APP1, _XMP + xmp)
    if iptc is not None:
        resource = resource_of_iptc(iptc)
        step = _MOST_SEGMENT - len(_RESOURCES)
        for at in range(0, len(resource), step):
            yield _segment(_APP13, _RESOURCES + resource[at : at + step])
    if comment is not None:
        yield _segment(_COMMENT, comment[:_MOST_SEGMENT])


def resource_of_iptc(iptc: bytes) -> bytes:
    """Return IPTC data as one of Photoshop's image resources."""
    head = _RESOURCE + _IPTC + bytes(2) + len(iptc).to_bytes(4, "big")
    return head + iptc + b"\0" * (len(iptc) % 2)


def _remove_note(xmp: bytes) -> bytes:
    """Return a packet that announces no further segments."""
    value = rb"xmpNote:HasExtendedXMP"
    xmp = re.sub(rb"\s" + value + rb"\s?=\s?(?:\"[^\"]*\"|'[^']*')", b"", xmp)
    return re.sub(rb"<" + value + rb">[^<]*</" + value + rb">", b"", xmp)


def _segment(marker: int, body: bytes) -> bytes:
    return bytes((0xFF, marker)) + (len(body) + 2).to_bytes(2, "big") + body


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield markers and bodies of the segments before the first scan."""
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        if marker in (_SCAN, _END):
            return
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, data[at + 4 : end]
        at = max(end, at + 4)
