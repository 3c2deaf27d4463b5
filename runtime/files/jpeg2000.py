"""JPEG 2000 files to rasters, by Pillow with OpenJPEG.

What Pillow would show as something else is refused by its name before it sees it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from PIL import Jpeg2KImagePlugin

from tinysr.errors import ImageError

from ..metadata import turn_upright
from ..metadata.exif import resolution_of
from ..pillow import raster_from_pil
from ..raster import Metadata, Raster
from .avif import fill_bits
from .boxes import Box, boxes_of, find_box
from .limits import MOST_METADATA, Accept, Header, check_header, refuse_premultiplied
from .pillow_read import describe_damage, open_by_pillow

__all__ = ["read_jpeg2000"]

_CODES = b"\xff\x4f\xff\x51"
"""Begin of the coded picture: its first two markers."""

_SRGB, _GREY, _SYCC = 16, 17, 18
_OTHER_COLOURS = {0: "two colours", 12: "CMYK", 14: "CIELab colours", 15: "two colours"}
_LISTED, _PROFILES = 1, {2, 3}
"""Ways in which a box says the colours: by number, or by a profile."""

_PREMULTIPLIED = 2
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_EXIF = b"JpgTiffExif->JP2"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Picture:
    """Header of the coded picture."""

    width: int
    height: int
    bits: tuple[int, ...]
    """Bits of each channel's values."""
    signed: bool
    subsampled: bool


def read_jpeg2000(data: bytes, most: float, accept: Accept) -> Raster:
    """Decode a file; see :func:`tinysr.runtime.files.decode`."""
    boxes = [] if data.startswith(_CODES) else list(boxes_of(data))
    codes = find_box(iter(boxes), b"jp2c")
    picture = _read_picture(data, 0 if not boxes else -1 if codes is None else codes.start)
    channels = len(picture.bits)
    header = Header(
        width=picture.width,
        height=picture.height,
        channels=channels,
        value_bytes=1 if max(picture.bits) <= 8 else 2,
        format="jp2",
    )
    check_header(header, most)
    accept(header)
    head = find_box(iter(boxes), b"jp2h")
    profile = None if head is None else _check_colours(head, picture)
    _check_values(picture)
    image = open_by_pillow(data, Jpeg2KImagePlugin.Jpeg2KImageFile)
    if image.size != (picture.width, picture.height):
        raise ImageError("the image is damaged: its headers contradict each other")
    try:
        pixels = raster_from_pil(image).pixels
    except ImageError:
        raise
    except Exception as error:
        raise describe_damage(error) from error
    exif, xmp = _find_packet(boxes, _EXIF), _find_packet(boxes, _XMP)
    dpi = image.info.get("dpi") or resolution_of(exif)
    metadata = Metadata(icc_profile=profile, exif=exif, xmp=xmp, dpi=dpi)
    return turn_upright(fill_bits(pixels, picture.bits[0]), metadata)


def _read_picture(data: bytes, at: int) -> _Picture:
    """Return the header at an offset. Source: ISO/IEC 15444-1, annex A.5.1."""
    try:
        if at < 0 or data[at : at + 4] != _CODES:
            raise ImageError("the image is damaged: it has no coded picture")
        right, lower, left, upper = struct.unpack_from(">4I", data, at + 8)
        (count,) = struct.unpack_from(">H", data, at + 40)
        found = [struct.unpack_from(">BBB", data, at + 42 + 3 * i) for i in range(count)]
    except struct.error as error:
        raise ImageError("the image is damaged: the file is truncated") from error
    if not found:
        raise ImageError("the image is damaged: it has no channels")
    return _Picture(
        width=max(0, right - left),
        height=max(0, lower - upper),
        bits=tuple((depth & 0x7F) + 1 for depth, _, _ in found),
        signed=any(depth & 0x80 for depth, _, _ in found),
        subsampled=len({(across, down) for _, across, down in found}) > 1,
    )


def _check_values(picture: _Picture) -> None:
    bits = {*picture.bits}
    usual = bits == {8} or (len(picture.bits) == 1 and 8 < picture.bits[0] <= 16)
    if usual and not picture.signed:
        return
    kind = "signed" if picture.signed else f"{', '.join(str(n) for n in sorted(bits))}-bit"
    what = "grey" if len(picture.bits) == 1 else "colours"
    raise ImageError(
        f"JPEG 2000 in {what} of {kind} values is not supported: convert it to TIFF first"
    )


def _check_colours(head: Box, picture: _Picture) -> bytes | None:
    """Return the profile of a file's colours, if they are said by one."""
    colours = [box.body for box in head.inner() if box.kind == b"colr"]
    if head.find(b"pclr") is not None:
        raise ImageError("JPEG 2000 with a palette is not supported: convert it to PNG first")
    for kind in _channel_kinds(head):
        if kind == _PREMULTIPLIED:
            refuse_premultiplied()
    numbers = [int.from_bytes(body[3:7], "big") for body in colours if body[:1] == bytes([_LISTED])]
    profiles = [body[3:] for body in colours if body[:1] and body[0] in _PROFILES]
    if picture.subsampled and _SYCC not in numbers:
        what = "channels of different sizes"
        raise ImageError(f"JPEG 2000 with {what} is not supported: convert it to PNG first")
    if profiles:
        return profiles[0] if len(profiles[0]) <= MOST_METADATA else None
    if numbers and numbers[0] not in (_SRGB, _GREY, _SYCC):
        name = _OTHER_COLOURS.get(numbers[0], f"colours of kind {numbers[0]}")
        raise ImageError(f"JPEG 2000 in {name} is not supported: convert it to PNG first")
    return None


def _channel_kinds(head: Box) -> Iterator[int]:
    """Yield what each channel is, where a file says it."""
    box = head.find(b"cdef")
    body = b"" if box is None else box.body
    for at in range(2, len(body) - 5, 6):
        yield int.from_bytes(body[at + 2 : at + 4], "big")


def _find_packet(boxes: list[Box], name: bytes) -> bytes | None:
    for box in boxes:
        if box.kind == b"uuid" and box.body[:16] == name:
            found = box.body[16:]
            return found if len(found) <= MOST_METADATA else None
    return None
