"""What we write, other libraries open: the same pixels, in the depth that the format has."""

from __future__ import annotations

import errno
import io
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import piexif
import pytest
import tifffile
from PIL import Image

from tests.support.pictures import (
    CHANNELS,
    DEPTHS,
    MAKER_NOTE,
    WHITE,
    exif,
    gradient,
    pixels,
    read,
    seen_by_opencv,
)
from tinysr.errors import ImageError, UnsupportedError
from tinysr.runtime.files import FORMATS, check_writable, encode_into, save
from tinysr.runtime.raster import Metadata, Raster

LOSSY = 4
"""Of 255: quality 95, on smooth colours."""


def written(raster: Raster, file_format: str) -> bytes:
    with tempfile.TemporaryFile() as file:
        encode_into(raster, file_format, file, "picture")
        file.seek(0)
        return file.read()


def raster(depth: str = "uint8", channels: int = 3) -> Raster:
    return Raster(pixels=pixels(depth, channels))


def as_rgb(image: np.ndarray) -> np.ndarray:
    """Return grey as the RGB that formats without grey hold."""
    if image.shape[2] >= 3:
        return image
    return np.concatenate([image[..., :1]] * 3 + [image[..., 1:]], axis=2)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("channels", CHANNELS)
def test_png(depth: str, channels: int) -> None:
    image = raster(depth, channels)
    data = written(image, "png")
    exact = image.pixels
    if depth == "float32":  # 16 bits are what a PNG file can have
        exact = np.floor(exact * np.float32(65535) + np.float32(0.5)).astype(np.uint16)
    np.testing.assert_array_equal(read(data).pixels, exact)
    np.testing.assert_array_equal(as_rgb(seen_by_opencv(data)), as_rgb(exact))


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("channels", CHANNELS)
def test_tiff(depth: str, channels: int) -> None:
    image = raster(depth, channels)
    data = written(image, "tiff")
    np.testing.assert_array_equal(read(data).pixels, image.pixels)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        page = file.pages.first
        seen = page.asarray()
        names = [tifffile.EXTRASAMPLE(extra).name for extra in page.extrasamples]
    np.testing.assert_array_equal(seen.reshape(image.pixels.shape), image.pixels)
    assert names == (["UNASSALPHA"] if channels in (2, 4) else [])


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg(depth: str, channels: int) -> None:
    image = raster(depth, channels)
    data = written(image, "jpg")
    seen = seen_by_opencv(data).astype(float) / 255
    assert seen.shape == image.pixels.shape
    np.testing.assert_allclose(seen, image.pixels / WHITE[depth], atol=LOSSY / 255)
    with Image.open(io.BytesIO(data)) as opened:
        layers = [layer[1:3] for layer in opened.layer]  # type: ignore[attr-defined]
    assert layers == [(1, 1)] * channels  # colours in full resolution


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("channels", CHANNELS)
def test_webp(depth: str, channels: int) -> None:
    image = raster(depth, channels)
    seen = seen_by_opencv(written(image, "webp")).astype(float) / 255
    wanted = as_rgb(image.pixels) / WHITE[depth]
    assert seen.shape == wanted.shape
    np.testing.assert_allclose(seen[2:-2, 2:-2], wanted[2:-2, 2:-2], atol=2.5 * LOSSY / 255)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("channels", CHANNELS)
def test_avif(depth: str, channels: int) -> None:
    image = raster(depth, channels)
    data = written(image, "avif")
    with Image.open(io.BytesIO(data)) as opened:
        modes = {1: "L", 2: "RGBA", 3: "RGB", 4: "RGBA"}
        assert (opened.format, opened.mode) == ("AVIF", modes[channels])
        seen = np.asarray(opened).reshape(20, 28, -1) / 255
    wanted = image.pixels if channels == 1 else as_rgb(image.pixels)
    np.testing.assert_allclose(seen, wanted / WHITE[depth], atol=2 * LOSSY / 255)


def test_no_library_speaks_of_damaged_exif_data() -> None:
    """An entry that leaves the data: Pillow would warn of it on standard error."""
    before = bytearray(exif(1, thumbnail=False))
    at = before.index((240).to_bytes(4, "big"))  # the resolution; its entry says where it is
    place = before.index((at - 6).to_bytes(4, "big"))
    before[place : place + 4] = (2**31).to_bytes(4, "big")
    found = Raster(pixels=pixels(), metadata=Metadata(exif=bytes(before)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = {kind: written(found, kind) for kind in FORMATS}
    assert read(made["avif"]).metadata.exif is not None


def test_maker_notes_in_avif_stay_where_they_are() -> None:
    """They hold offsets into the EXIF data; only the orientation, which is 1, is taken out."""
    before = exif(1, thumbnail=False)
    found = Raster(pixels=pixels(), metadata=Metadata(exif=before))
    after = read(written(found, "avif")).metadata.exif
    assert after is not None
    assert len(after) == len(before)
    assert after.index(MAKER_NOTE) == before.index(MAKER_NOTE)
    tags = piexif.load(after)
    wanted = piexif.load(before)
    assert wanted["0th"].pop(piexif.ImageIFD.Orientation) == 1
    assert tags == wanted


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.jpeg", "a.webp", "a.tif", "a.tiff", "A.PNG"])
def test_the_suffix_names_the_format(tmp_path: Path, name: str) -> None:
    path = tmp_path / "new" / "folder" / name
    save(raster(), path)
    kinds = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP"}
    with Image.open(path) as image:
        assert image.format == kinds.get(name.split(".")[1].lower(), "TIFF")
    assert [p.name for p in path.parent.iterdir()] == [name]


@pytest.mark.parametrize("name", ["a", "a.gif", "a.txt"])
def test_other_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsupportedError, match=r"can't be written: expected one of \.png, \.jpg"):
        save(raster(), tmp_path / name)


def test_existing_files_are_kept_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("precious")
    attempts: tuple[Callable[[], object], ...] = (
        lambda: save(raster(), path),
        lambda: check_writable(path),
    )
    for attempt in attempts:
        with pytest.raises(ImageError, match="exists and is kept; --overwrite"):
            attempt()
    assert path.read_text() == "precious"
    check_writable(path, overwrite=True)
    save(raster(), path, overwrite=True)
    np.testing.assert_array_equal(read(path.read_bytes()).pixels, pixels())


@pytest.mark.parametrize("suffix", ["png", "tiff", "jpg", "webp", "avif"])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_text("precious")

    class Full(io.FileIO):
        def fileno(self) -> int:
            raise io.UnsupportedOperation

        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", lambda found, _: Full(found, "r+"))
        with pytest.raises(ImageError, match="can't be written: No space left"):
            save(raster(), path, overwrite=True)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    class Interrupted(io.FileIO):
        def write(self, data: object) -> int:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", lambda found, _: Interrupted(found, "r+"))
        with pytest.raises(KeyboardInterrupt):
            save(raster(), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_folders_that_can_not_be_made_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "folder" / "a.png"
    attempts: tuple[Callable[[], object], ...] = (
        lambda: save(raster(), path),
        lambda: check_writable(path),
    )
    for attempt in attempts:
        with pytest.raises(ImageError, match="can't be written"):
            attempt()
    (tmp_path / "b.png").mkdir()
    with pytest.raises(ImageError, match="it is a folder"):
        save(raster(), tmp_path / "b.png", overwrite=True)


@pytest.mark.parametrize(("suffix", "side"), [("webp", 16_384), ("jpg", 65_501), ("avif", 32_769)])
def test_sizes_that_a_format_can_not_hold_are_refused(
    tmp_path: Path, suffix: str, side: int
) -> None:
    image = Raster(pixels=np.zeros((1, side, 3), np.uint8))
    with pytest.raises(ImageError, match=f"a {suffix} file, found {side}×1: write png or"):
        save(image, tmp_path / f"a.{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("depth", DEPTHS)
def test_jpeg_refuses_to_lose_transparency(tmp_path: Path, depth: str) -> None:
    clear = pixels(depth, 4)
    with pytest.raises(ImageError, match="JPEG holds no transparency: write png, webp or"):
        save(Raster(pixels=clear), tmp_path / "a.jpg")
    clear[..., 3] = WHITE[depth]
    save(Raster(pixels=clear), tmp_path / "a.jpg")
    assert read((tmp_path / "a.jpg").read_bytes()).pixels.shape[2] == 3


def test_a_picture_is_written_as_it_was_read_by_pillow(tmp_path: Path) -> None:
    gradient().save(tmp_path / "a.png")
    save(read((tmp_path / "a.png").read_bytes()), tmp_path / "b.tiff")
    with Image.open(tmp_path / "b.tiff") as image:
        np.testing.assert_array_equal(np.asarray(image), np.asarray(gradient()))
