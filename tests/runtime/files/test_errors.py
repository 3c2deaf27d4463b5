"""Errors about one file: they quote nothing of another, and say what the file is."""

from __future__ import annotations

import io
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.pictures import photo, pixels, read
from tinysr.errors import ImageError
from tinysr.runtime.files import Header, decode, encode_into
from tinysr.runtime.raster import Raster
from tinysr.runtime.vips import pyvips, use_vips


def leave_a_warning() -> None:
    """Leave words in libvips's buffer, as its decoders do of files that they read nevertheless."""
    pyvips.vips_lib.vips_foreign_find_load(b"another.png")
    assert b"another.png" in buffer()


def buffer() -> bytes:
    held: bytes = pyvips.ffi.string(pyvips.vips_lib.vips_error_buffer())
    return held


def refusal(data: bytes, name: str = "this.png") -> str:
    with pytest.raises(ImageError) as caught:
        decode(data, name, max_megapixels=10)
    return str(caught.value)


def damaged() -> bytes:
    return photo("jpg")[:600]


def test_an_error_quotes_no_other_files_warning() -> None:
    clean = refusal(damaged())
    leave_a_warning()
    assert refusal(damaged()) == clean
    assert "another" not in clean


def test_a_file_that_is_read_leaves_nothing_behind() -> None:
    leave_a_warning()
    read(photo("png"))
    assert buffer() == b""


def test_an_error_of_writing_is_its_own() -> None:
    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(28, "No space left on device")

    leave_a_warning()
    with pytest.raises(OSError, match="No space left") as caught:
        encode_into(Raster(pixels=pixels()), "png", Full(), "x")
    assert "another" not in str(caught.value)


def test_calls_take_turns() -> None:
    inside, finished = threading.Event(), threading.Event()

    def another() -> None:
        with use_vips():
            finished.set()

    with use_vips():
        with use_vips():  # one thread may go in again
            inside.set()
        thread = threading.Thread(target=another)
        thread.start()
        assert not finished.wait(0.2)
    thread.join()
    assert finished.is_set()


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\0\0\0\x18ftypisom", "a video or another image"),
        (b"P7\nWIDTH 4\n", "a Netpbm image"),
        (b"\n<!DOCTYPE html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"),
        (b"words", "something else"),
        (b"", "an empty file"),
    ],
)
def test_what_is_not_read_is_called_by_its_name(start: bytes, name: str) -> None:
    found = refusal(start)
    assert f"expected an image, such as PNG, JPEG, WebP, AVIF or TIFF, found {name}: " in found
    assert found.split(": ")[-1]  # and what to do


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_a_file_is_refused_by_its_header_before_it_is_decoded(kind: str) -> None:
    file = io.BytesIO()
    Image.fromarray(pixels()).save(file, kind)
    seen: list[Header] = []

    def accept(header: Header) -> None:
        seen.append(header)
        raise ImageError("no")

    # Cut short, where that is no matter of the header: who decoded it would call it damaged.
    data = file.getvalue()[: -40 if kind in {"JPEG", "BMP"} else None]
    with pytest.raises(ImageError, match=r"^x: no$"):
        decode(data, "x", max_megapixels=9, accept=accept)
    (header,) = seen
    assert (header.width, header.height, header.channels, header.value_bytes) == (28, 20, 3, 1)


def test_channels_are_counted_before_they_are_decoded(tmp_path: Path) -> None:
    import tifffile

    many = np.zeros((64, 20, 28), np.uint8)
    tifffile.imwrite(tmp_path / "many.tif", many.transpose(1, 2, 0), photometric="minisblack",
                     planarconfig="contig", extrasamples=["unspecified"] * 63)  # fmt: skip
    assert "found 64 channels" in refusal((tmp_path / "many.tif").read_bytes())
