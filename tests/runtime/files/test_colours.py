"""Colours that a PNG says without a profile: kept in PNG, refused where they would be lost."""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.bundles import make_bundle
from tests.support.odd_files import chunk, png
from tests.support.pictures import pixels, read, srgb
from tinysr.errors import ImageError
from tinysr.runtime import Upscaler
from tinysr.runtime.files import FORMATS, encode_into
from tinysr.runtime.folder import FolderSettings, plan_work, run_jobs
from tinysr.runtime.folder.item import Item
from tinysr.runtime.raster import Raster

OTHERS = [name for name in FORMATS if name != "png"]


def parts(*numbers: float) -> bytes:
    """Return numbers as gAMA and cHRM have them."""
    return b"".join(struct.pack(">I", round(number * 100_000)) for number in numbers)


LINEAR = chunk(b"gAMA", parts(1.0))
USUAL = chunk(b"gAMA", parts(0.45455))
P3 = chunk(b"cHRM", parts(0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060))
BT709 = chunk(b"cHRM", parts(0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06))
PROFILE = chunk(b"iCCP", b"ICC\0\0" + zlib.compress(srgb()))
INTENT = chunk(b"sRGB", b"\0")


def codes(*numbers: int) -> bytes:
    return chunk(b"cICP", bytes(numbers))


MATTER = {
    "linear": (LINEAR, "gAMA"),
    "Mac of old": (chunk(b"gAMA", parts(0.55556)), "gAMA"),
    "wide": (USUAL + P3, "cHRM"),
    "PQ": (codes(9, 16, 0, 1), "cICP: PQ, high dynamic range"),
    "HLG": (codes(9, 18, 0, 1), "cICP: HLG, high dynamic range"),
    "P3 by numbers": (codes(12, 13, 0, 1), "cICP"),
    "PQ, and a profile for those who know none": (codes(9, 16, 0, 1) + PROFILE, "cICP: PQ"),
}
"""Chunks, and which of them the error names."""

USUAL_COLOURS = {
    "nothing": b"",
    "sRGB": INTENT,
    "sRGB's gamma": USUAL,
    "sRGB's gamma and primaries": USUAL + BT709,
    "sRGB, which comes before gamma": INTENT + LINEAR,
    "a profile, which comes before gamma": PROFILE + LINEAR + P3,
    "sRGB by numbers": codes(1, 13, 0, 1),
}


def written(raster: Raster, file_format: str) -> bytes:
    with tempfile.TemporaryFile() as file:
        encode_into(raster, file_format, file, "picture")
        file.seek(0)
        return file.read()


def chunks(data: bytes) -> dict[bytes, bytes]:
    """Return the chunks before the first of pixels."""
    found, at = {}, 8
    while (kind := data[at + 4 : at + 8]) != b"IDAT":
        (length,) = struct.unpack(">I", data[at : at + 4])
        found[kind] = data[at + 8 : at + 8 + length]
        at += 12 + length
    return found


@pytest.mark.parametrize("name", [*MATTER, *USUAL_COLOURS])
@pytest.mark.parametrize("depth", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_says_the_same_colours_of_the_same_values(name: str, depth: str, channels: int) -> None:
    extra = MATTER[name][0] if name in MATTER else USUAL_COLOURS[name]
    before = png(image := pixels(depth, channels), extra)
    after = written(read(before), "png")
    said = {b"cICP", b"gAMA", b"cHRM", b"sRGB"}
    assert {k: v for k, v in chunks(after).items() if k in said} == {
        k: v for k, v in chunks(before).items() if k in said
    }
    np.testing.assert_array_equal(read(after).pixels, image)


def test_pillow_finds_the_gamma_that_was_kept() -> None:
    with Image.open(io.BytesIO(written(read(png(pixels(), LINEAR)), "png"))) as image:
        assert image.info["gamma"] == 1.0


@pytest.mark.parametrize("name", MATTER)
@pytest.mark.parametrize("file_format", OTHERS)
def test_other_formats_refuse_what_they_would_show_as_something_else(
    name: str, file_format: str
) -> None:
    extra, what = MATTER[name]
    with pytest.raises(ImageError) as caught:
        written(read(png(pixels(), extra)), file_format)
    assert f"only PNG can say what these colours mean ({what}" in str(caught.value)
    assert str(caught.value).endswith(": write png")


@pytest.mark.parametrize("name", USUAL_COLOURS)
@pytest.mark.parametrize("file_format", OTHERS)
def test_other_formats_take_what_they_show_alike(name: str, file_format: str) -> None:
    assert read(written(read(png(pixels(), USUAL_COLOURS[name])), file_format)).size == (28, 20)


def test_chunks_are_found_by_their_lengths() -> None:
    """Bytes inside another chunk that look like one are none."""
    inside = chunk(b"tEXt", b"Comment\0" + LINEAR)
    assert read(png(pixels(), inside)).metadata.png_colour == ()
    assert read(png(pixels(), inside + USUAL)).metadata.png_colour == ((b"gAMA", parts(0.45455)),)


class Finished:
    """Remembers what became of each image."""

    def __init__(self) -> None:
        self.items: list[Item] = []

    def on_start(self, item: Item) -> None:
        raise AssertionError("the network ran")

    def on_step(self, done: int, total: int) -> None: ...

    def on_finish(self, item: Item) -> None:
        self.items.append(item)

    def on_stop(self) -> None: ...


def test_it_is_known_before_the_network_runs(tmp_path: Path) -> None:
    (tmp_path / "hdr.png").write_bytes(png(pixels("uint16"), MATTER["PQ"][0]))
    work = plan_work([str(tmp_path / "hdr.png")], str(tmp_path / "out.webp"), file_format=None)
    watcher = Finished()
    with Upscaler(make_bundle(tmp_path / "twin")) as upscaler:
        run_jobs(upscaler, work.jobs, FolderSettings(color="adain"), watcher)
    (item,) = watcher.items
    assert "PQ, high dynamic range" in str(item.error)
    assert not (tmp_path / "out.webp").exists()
