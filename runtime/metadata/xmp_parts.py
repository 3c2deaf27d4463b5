"""XMP about bytes that do not go along: gain maps, films, depth, further packets.

A packet that announces them in a file that has none makes programs look for what is not there. As
elsewhere, properties are found by their usual prefixes, and the rest of the packet stays as it is.
"""

from __future__ import annotations

import re

__all__ = ["describe_parts", "remove_parts"]

_PARTS = {
    "gain map": rb"(?:hdrgm|HDRGainMap):[\w.-]{1,80}",
    "film of a motion photo": rb"G?Camera:(?:MotionPhoto|MicroVideo)\w{0,80}",
    "depth map": rb"GDepth:\w{1,80}",
    "picture within the metadata": rb"GImage:\w{1,80}",
    "sound": rb"GAudio:\w{1,80}",
    "second packet of XMP": rb"xmpNote:HasExtendedXMP",
}
"""Names of properties, under what their bytes are called."""

_NONE = rb"(?!\s{0,80}(?:=\s{0,80}[\"']|>)0[\"'<])"
"""Not followed by the number with which a file says that it has no film."""

_DIRECTORY = rb"(?:Container|GContainer):Directory"
"""Lists the parts of a file with their lengths."""

_VALUE = rb"\s{0,80}=\s{0,80}(?:\"[^\"]*\"|'[^']*')"
_NAMES = rb"|".join([*_PARTS.values(), _DIRECTORY])
_ATTRIBUTE = re.compile(rb"\s{1,80}(?:" + _NAMES + rb")" + _VALUE)
_ELEMENT = re.compile(rb"<(" + _NAMES + rb")(?=[\s/>])")
_USED = {name: re.compile(rb"[\s<](?:" + names + rb")\b" + _NONE) for name, names in _PARTS.items()}


def describe_parts(xmp: bytes | None) -> list[str]:
    """Return what a packet says that its file has beside the picture."""
    return [name for name, used in _USED.items() if used.search(xmp)] if xmp else []


def remove_parts(xmp: bytes | None) -> bytes | None:
    """Return a packet that says nothing of other bytes of its file."""
    if not xmp or (_ELEMENT.search(xmp) is None and _ATTRIBUTE.search(xmp) is None):
        return xmp
    kept, at = [], 0
    while (opening := _ELEMENT.search(xmp, at)) is not None:
        end = _end_of_element(xmp, opening)
        if end < 0:  # no XML; what is left of it stays
            break
        kept.append(xmp[at : opening.start()])
        at = end
    return _ATTRIBUTE.sub(b"", b"".join([*kept, xmp[at:]]))


def _end_of_element(xmp: bytes, opening: re.Match[bytes]) -> int:
    """Return where an element ends, or -1."""
    inner = xmp.find(b">", opening.end())
    if inner > 0 and xmp[inner - 1 : inner] == b"/":
        return inner + 1
    closing = b"</" + opening.group(1) + b">"
    end = xmp.find(closing, opening.end())
    return end + len(closing) if end >= 0 else -1
