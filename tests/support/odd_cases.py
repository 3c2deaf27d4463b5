"""Odd image files for tests: what other programs see in each, or the words that refuse it."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from tests.support.odd_files import (
    gapped,
    jpeg,
    packed_bits,
    png,
    subsampled,
    tiff,
    tiff_pages,
    untold,
)
from tests.support.pictures import by_opencv, pixels, seen_by_opencv

RGB, RGBA = pixels(), pixels(channels=4)
GREY, DEEP = pixels(channels=1), pixels("uint16")
FIVE = np.concatenate([RGBA, 255 - GREY], axis=2)
FLOATS = pixels("float32")
YCBCR = np.asarray(Image.fromarray(RGB).convert("YCbCr"))
JPEG = jpeg(RGB)
UNSPECIFIED, PREMULTIPLIED, STRAIGHT = 0, 1, 2
SIGNED = 2


def by_pillow(data: bytes) -> NDArray[Any]:
    with Image.open(io.BytesIO(data)) as image:
        found = np.asarray(image.convert("RGB"))
    return found


def by_opencv_in_colour(data: bytes) -> NDArray[Any]:
    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert found is not None
    return cv2.cvtColor(found, cv2.COLOR_BGR2RGB)


def by_tifffile_alone(data: bytes) -> NDArray[Any]:
    return tifffile.imread(io.BytesIO(data), key=0)


def channels(*kept: int) -> Callable[[bytes], NDArray[Any]]:
    """Read by tifffile, which takes channels as they lie, and keep these."""
    return lambda data: by_tifffile_alone(data)[..., list(kept)]


def whole(data: bytes) -> Callable[[bytes], NDArray[Any]]:
    """Read by Pillow the file as it was, where other programs refuse it as it is."""
    return lambda _: by_pillow(data)


def page(index: int) -> Callable[[bytes], NDArray[Any]]:
    return lambda data: tifffile.imread(io.BytesIO(data), key=index)


def pages(*kinds: tuple[NDArray[Any], int]) -> bytes:
    """Return a TIFF file of pages, each with what it says that it is."""
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        for image, kind in kinds:
            colours = "rgb" if image.ndim == 3 else "mask" if kind == 4 else "minisblack"
            writer.write(image, photometric=colours, subfiletype=kind)
    return file.getvalue()


def with_inner_preview() -> bytes:
    file = io.BytesIO()
    with tifffile.TiffWriter(file) as writer:
        writer.write(RGB, photometric="rgb", subifds=1)
        writer.write(RGB[::4, ::4].copy(), photometric="rgb", subfiletype=1)
    return file.getvalue()


@dataclass(frozen=True)
class Taken:
    """A file that is read, and who says what it shows."""

    data: bytes
    reader: Callable[[bytes], NDArray[Any]] = by_tifffile_alone
    near: float = 0
    left_out: int = 0
    """Channels that the note counts."""


PREVIEW, MASK = RGB[::4, ::4].copy(), GREY[..., 0] > 90
RESTARTS = jpeg(RGB, restart_marker_blocks=2)
MARKER = RESTARTS.find(b"\xff\xd0", RESTARTS.find(b"\xff\xda"))
NOISE = jpeg(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
FLAT = jpeg(np.full((400, 400, 3), 255, np.uint8), optimize=True)
assert bytes(64) in FLAT
PROGRESSIVE = jpeg(RGB, progressive=True)

TAKEN = {
    "selection": Taken(tiff(RGBA, 2, {338: UNSPECIFIED}), channels(0, 1, 2), left_out=1),
    "selection in 16 bits": Taken(
        tiff(pixels("uint16", 4), 2, {338: UNSPECIFIED}), channels(0, 1, 2), left_out=1
    ),
    "selection in floats": Taken(
        tiff(pixels("float32", 4), 2, {338: UNSPECIFIED}), channels(0, 1, 2), left_out=1
    ),
    "grey and selection": Taken(
        tiff(RGBA[..., [0, 3]], 1, {338: UNSPECIFIED}), channels(0), left_out=1
    ),
    "grey and a channel nothing is said of": Taken(
        tiff(RGBA[..., [0, 3]], 1), channels(0), left_out=1
    ),
    "opacity, infrared": Taken(
        tiff(FIVE, 2, {338: [STRAIGHT, UNSPECIFIED]}), channels(0, 1, 2, 3), left_out=1
    ),
    "infrared, opacity": Taken(
        tiff(FIVE, 2, {338: [UNSPECIFIED, STRAIGHT]}), channels(0, 1, 2, 4), left_out=1
    ),
    "two selections": Taken(tiff(FIVE, 2, {338: [0, 0]}), channels(0, 1, 2), left_out=2),
    "opacity": Taken(tiff(RGBA, 2, {338: STRAIGHT})),
    "OpenCV's opacity": Taken(by_opencv(RGBA, ".tiff"), seen_by_opencv),
    "YCbCr": Taken(tiff(YCBCR, 6, {530: [1, 1]}), by_opencv_in_colour),
    "YCbCr of video": Taken(
        tiff(
            YCBCR // 2 + 60, 6, {530: [1, 1], 532: [(v, 1) for v in (16, 235, 128, 240, 128, 240)]}
        ),
        by_opencv_in_colour,
        near=3,  # OpenCV's has integer tables
    ),
    **{
        f"YCbCr {across}:{down}": Taken(subsampled(YCBCR, across, down), by_opencv_in_colour)
        for across, down in ((2, 2), (2, 1), (1, 2), (4, 1))
    },
    "reduced copy second": Taken(pages((RGB, 0), (PREVIEW, 1))),
    "reduced copy first": Taken(pages((PREVIEW, 1), (RGB, 0)), page(1)),
    "mask": Taken(pages((RGB, 0), (MASK, 4))),
    "reduced mask": Taken(pages((RGB, 0), (MASK[::4].copy(), 5), (PREVIEW, 1))),
    "reduced copy alone": Taken(pages((RGB, 1))),
    "inner preview": Taken(with_inner_preview()),
    "float16": Taken(tiff(FLOATS.astype(np.float16), 2)),
    "floats just over": Taken(tiff(FLOATS * 0.99999 + 2e-5, 2), near=1e-5),
    "floats just under": Taken(tiff(FLOATS - np.float32(1e-6), 2), near=1e-5),
    "white is 0": Taken(tiff(GREY, 0), seen_by_opencv),
    "orientation 0": Taken(tiff(RGB, 2, {274: 0})),
    "orientation 9": Taken(tiff(RGB, 2, {274: 9})),
    "fill order 3": Taken(tiff(RGB, 2, {266: 3})),
    "orientation twice": Taken(tiff(RGB, 2, {274: [0, 0, 0]})),
    "resolution unit 77": Taken(tiff(RGB, 2, {296: 77})),
    "no end marker": Taken(JPEG[:-2], whole(JPEG), near=1),
    "half an end marker": Taken(JPEG[:-1], whole(JPEG), near=1),
    "no end marker, progressive": Taken(PROGRESSIVE[:-2], whole(PROGRESSIVE), near=1),
    "bytes before the end": Taken(JPEG[:-2] + b"\x12\x34\x56" * 7 + JPEG[-2:], by_pillow, near=1),
    "bytes before a restart": Taken(
        RESTARTS[:MARKER] + b"\x11" * 9 + RESTARTS[MARKER:], by_opencv_in_colour, near=1
    ),
    "bytes behind the end": Taken(JPEG + bytes(999) + b"MotionPhoto_Data", by_pillow, near=1),
    "blank line first": Taken(b"\n" + JPEG, whole(JPEG), near=1),
    "blank lines before a PNG": Taken(b"\r\n" + png(RGB), whole(png(RGB))),
    "odd last coefficient": Taken(untold(JPEG), by_opencv_in_colour, near=1),
    "padded": Taken(NOISE[:-2] + bytes(99) + NOISE[-2:], whole(NOISE), near=1),
    "padded, no end marker": Taken(NOISE[:-2] + bytes(999), whole(NOISE), near=1),
    "long zeros that are codes": Taken(FLAT, by_pillow),
    "no last chunk": Taken(png(RGB, end=b""), by_pillow),
    "half a last chunk": Taken(png(RGB)[:-6], whole(png(RGB))),
    "bytes behind a PNG": Taken(png(RGB) + bytes(300), by_pillow),
}


def palette(bits: int) -> dict[int, Any]:
    return {320: [value % 65536 for value in range(3 * 2**bits)]}


HALF, DAMAGED = len(NOISE) // 2, "the image is damaged: "
CUT = DAMAGED + "premature end"
FILLED = DAMAGED + "a part of the file is filled with zeros"

REFUSED = {
    "CIELab": (tiff(RGB, 8), "TIFF in CIELab colours is not supported: save it as grey, RGB or"),
    "CIELab in 16 bits": (tiff(DEEP, 8), "TIFF in CIELab colours is not"),
    "ICCLab": (tiff(RGB, 9), "TIFF in ICCLab colours is not"),
    "LogLuv": (tiff(RGB, 32845), "TIFF in LogLuv colours is not"),
    "a mask alone": (tiff(GREY, 4), "TIFF in transparency masks is not"),
    "colours of no name": (tiff(RGB, 77), "TIFF in colours of kind 77 is not"),
    "no colours": (tiff(RGB, 2, {262: None}), DAMAGED + "the TIFF file does not say which colours"),
    "too few channels": (tiff(GREY, 2), DAMAGED + "expected 3 channels or more"),
    "12 bits": (packed_bits(12), "TIFF in grey of 12-bit integers is not supported: save it w"),
    "12 bits in RGB": (packed_bits(12, 3), "TIFF in RGB of 12-bit integers is not"),
    "4 bits in RGB": (packed_bits(4, 3), "TIFF in RGB of 4-bit integers is not"),
    "palette of 16 bits": (tiff(DEEP[..., :1], 3, palette(16)), "TIFF in a palette of 16-bit int"),
    "float64": (tiff(FLOATS.astype(float), 2), "64-bit floats is not supported: save it with 8 or"),
    "float64 in grey": (tiff(GREY / 255, 1), "TIFF in grey of 64-bit floats is not supported"),
    "signed": (tiff(DEEP.astype(np.int16), 2, {339: SIGNED}), "16-bit signed integers is not"),
    "uint32": (tiff(DEEP.astype(np.uint32), 2), "TIFF in RGB of 32-bit integers is not"),
    "complex": (tiff(FLOATS[..., :1], 1, {339: 6}), "32-bit complex numbers is not"),
    "white is 0 in floats": (tiff(FLOATS[..., :1], 0), "TIFF in grey with white as 0 of 32-bit fl"),
    "depths": (tiff(RGB, 2, {258: [8, 8, 16]}), "channels of different depths is not"),
    "CMYK in floats": (tiff(pixels("float32", 4), 5), "TIFF in CMYK of 32-bit floats is not supp"),
    "CMYK with opacity": (tiff(FIVE, 5, {338: STRAIGHT}), "TIFF in CMYK with transparency is not"),
    "other inks": (tiff(RGBA, 5, {332: 2}), "TIFF in inks other than CMYK is not supported"),
    "YCbCr with opacity": (tiff(RGBA, 6, {530: [1, 1], 338: STRAIGHT}), "in YCbCr with more chan"),
    "YCbCr in 16 bits": (tiff(DEEP, 6, {530: [1, 1]}), "TIFF in YCbCr of 16-bit integers is not"),
    **{
        name: (tiff(RGB, 2, {259: method}), f"TIFF compressed with {name} is not supported: sa")
        for method, name in ((6, "old-style JPEG"), (34925, "LZMA"), (50000, "ZSTD"),
                             (34887, "LERC"), (34712, "JPEG 2000"), (99, "method 99"))
    },
    "tiled planes": (tiff(RGB, 2, {284: 2, 322: 16, 323: 16}), "TIFF in tiles of separate planes"),
    "raw photo": (tiff(RGB, 2, {50706: b"\1\4\0\0"}), "raw photos are not supported, and the prev"),
    "mosaic": (tiff(DEEP[..., :1], 32803), "develop it first, to TIFF or JPEG"),
    "inner mosaic": (tiff_pages([(RGB.tobytes(), {256: 28, 257: 20, 258: [8] * 3, 262: 2, 277: 3,
                                                 254: 1, 330: 8})], inner={262: 32803}),
                     "develop it first"),
    "several pages": (pages((RGB, 0), (RGB, 0), (PREVIEW, 1)), "one still image, found 2 pages: "),
    "floats far over": (tiff(FLOATS * 1.7, 2), "expected float pixels in .*: scale or tone-map t"),
    "half a JPEG": (NOISE[:HALF], CUT),
    "half a JPEG with an end": (NOISE[:HALF] + b"\xff\xd9", CUT),
    "the last rows": (NOISE[:-200], CUT),
    "progressive, in a scan": (PROGRESSIVE[:-30], DAMAGED),
    "progressive, between scans": (
        PROGRESSIVE[: PROGRESSIVE.rfind(b"\xff\xc4")], DAMAGED + "the file is truncated, whole sc"
    ),
    "zeros within": (NOISE[:HALF] + bytes(200) + NOISE[HALF + 200 :], FILLED),
    "zeros to the end": (NOISE[:HALF] + bytes(len(NOISE) - HALF), CUT),
    "zeros to the end marker": (NOISE[:HALF] + bytes(999) + NOISE[-2:], CUT),
    "no scan": (gapped(JPEG), DAMAGED),
    "a PNG between chunks": (png(RGB, end=b"", halves=1), DAMAGED),
    "a PNG in a chunk": (png(RGB)[:-30], DAMAGED),
}  # fmt: skip
