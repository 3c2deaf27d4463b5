"""Frames of animated PNG files, put together from their parts in the depth of the file.

Source: Portable Network Graphics, third edition, section 11.3.6.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from tinysr.errors import ImageError

from ..raster import Pixels
from .png import PIXELS, join_chunks, whole_chunks_of

__all__ = ["compose_frame"]

_CONTROL, _PART = b"fcTL", b"fdAT"
_SHARED = (b"PLTE", b"tRNS")
_SEQUENCE = 4
"""Bytes of the number before a part."""
_SOURCE = 0
_BACKGROUND, _PREVIOUS = 1, 2

_DAMAGED = "the image is damaged: its frames are not whole"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frame:
    """One frame: its place, how it is put on what was before, and what is left for the next."""

    width: int
    height: int
    left: int
    top: int
    disposal: int
    blend: int
    parts: list[bytes] = field(default_factory=list)


def compose_frame(data: bytes, number: int, decode: Callable[[bytes], Pixels]) -> Pixels:
    """Return a frame as it is shown, ``[H, W, C]``; with opacity where a part of it shows nothing.

    Args:
        data: the file.
        number: of the frame, from 1.
        decode: makes pixels of a PNG file.

    Raises:
        ImageError: damaged.
    """
    header, shared, frames = _read_frames(data, number)
    across, down = struct.unpack_from(">II", header)
    canvas: Pixels | None = None
    plain = False
    for place, frame in enumerate(frames, 1):
        if frame.left + frame.width > across or frame.top + frame.height > down:
            raise ImageError(_DAMAGED)
        size = struct.pack(">II", frame.width, frame.height)
        body = [(PIXELS, part) for part in frame.parts]
        chunks = [(b"IHDR", size + header[8:]), *shared, *body, (b"IEND", b"")]
        part = decode(join_chunks(chunks))
        plain = part.shape[2] in (1, 3)
        part = _with_opacity(part) if plain else part
        if canvas is None:
            canvas = np.zeros((down, across, part.shape[2]), part.dtype)
        region = canvas[frame.top :, frame.left :][: frame.height, : frame.width]
        before = region.copy()
        region[...] = part if frame.blend == _SOURCE else _put_over(part, region)
        if place < number and frame.disposal == _PREVIOUS and place > 1:
            region[...] = before
        elif place < number and frame.disposal in (_BACKGROUND, _PREVIOUS):
            region[...] = 0
    if canvas is None or len(frames) < number:
        raise ImageError(_DAMAGED)
    full = bool((canvas[..., -1] == np.iinfo(canvas.dtype).max).all())
    return np.ascontiguousarray(canvas[..., :-1]) if plain and full else canvas


def _read_frames(data: bytes, most: int) -> tuple[bytes, list[tuple[bytes, bytes]], list[_Frame]]:
    """Return the header, the chunks that all frames share, and so many frames."""
    header, shared, frames = b"", [], list[_Frame]()
    for kind, body in _chunks(data):
        if kind == b"IHDR":
            header = body
        elif kind in _SHARED:
            shared.append((kind, body))
        elif kind == _CONTROL:
            if len(frames) == most:
                break
            width, height, left, top, _, _, disposal, blend = struct.unpack(">4IHHBB", body[4:26])
            frames.append(_Frame(width=width, height=height, left=left, top=top,
                                 disposal=disposal, blend=blend))  # fmt: skip
        elif kind == PIXELS and frames:  # before any frame, it is a picture for other programs
            frames[-1].parts.append(body)
        elif kind == _PART and frames:
            frames[-1].parts.append(body[_SEQUENCE:])
    return header, shared, frames


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield a file's chunks.

    Raises:
        ImageError: one of them is damaged.
    """
    lengths = {b"IHDR": 13, _CONTROL: 26}
    try:
        for kind, body in whole_chunks_of(data):
            if len(body) != lengths.get(kind, len(body)):
                raise ImageError(_DAMAGED)
            yield kind, body
    except ValueError as error:
        raise ImageError(_DAMAGED) from error


def _with_opacity(pixels: Pixels) -> Pixels:
    opaque = np.full((*pixels.shape[:2], 1), np.iinfo(pixels.dtype).max, pixels.dtype)
    return np.concatenate([pixels, opaque], axis=2)


def _put_over(above: Pixels, below: Pixels) -> Pixels:
    """Return a picture over another, both with straight opacity."""
    most = float(np.iinfo(above.dtype).max)
    share, rest = above[..., -1:] / most, below[..., -1:] / most
    rest = rest * (1 - share)
    opacity = share + rest
    light = above[..., :-1] * share + below[..., :-1] * rest
    colours = np.divide(light, opacity, out=np.zeros_like(light), where=opacity > 0)
    mixed = np.concatenate([colours, opacity * most], axis=2)
    result: Pixels = (mixed + 0.5).astype(above.dtype)
    return result
