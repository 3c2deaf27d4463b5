"""HEIC photos: as pillow-heif sees them in Pillow, and refused by name where it is missing."""

from __future__ import annotations

import io
import struct
import sys
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from tests.support.pictures import XMP, exif, pixels, read, srgb
from tinysr.errors import ImageError
from tinysr.runtime.files import decode
from tinysr.runtime.folder import plan_work

MODES = {1: ("L", "I;16"), 3: ("RGB", "RGB;16"), 4: ("RGBA", "RGBA;16")}
SIZE = (64, 96)


def heic(depth: str = "uint8", channels: int = 3, **options: object) -> bytes:
    image = pixels(depth, channels, *SIZE)
    mode = MODES[channels][depth == "uint16"]
    file = io.BytesIO()
    made = pillow_heif.from_bytes(mode=mode, size=SIZE[::-1], data=image.tobytes())
    made.save(file, quality=100, chroma=444, **options)
    return file.getvalue()


@pytest.mark.parametrize("channels", MODES)
@pytest.mark.parametrize("depth", ["uint8", "uint16"])
def test_heic_keeps_colours_depth_and_opacity(depth: str, channels: int) -> None:
    found = read(heic(depth, channels)).pixels
    wanted = pixels(depth, channels, *SIZE)
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype)
    near = 0.02 * np.iinfo(found.dtype).max
    np.testing.assert_allclose(found.astype(float), wanted.astype(float), rtol=0, atol=near)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_heic_is_turned_once_and_keeps_its_metadata(orientation: int) -> None:
    pillow_heif.register_heif_opener()
    file = io.BytesIO()
    packet = XMP.replace(b'tion="6"', f'tion="{orientation}"'.encode())
    packets = {"exif": exif(orientation), "xmp": packet, "icc_profile": srgb()}
    Image.fromarray(pixels("uint8", 3, *SIZE)).save(file, "HEIF", quality=100, **packets)
    found = read(file.getvalue())
    with Image.open(file) as image:  # turned by the container
        seen = np.asarray(image)
    np.testing.assert_allclose(found.pixels.astype(int), seen.astype(int), rtol=0, atol=2)
    assert found.size == (SIZE[::-1] if orientation < 5 else SIZE)
    assert found.metadata.icc_profile == srgb()
    assert found.metadata.exif is not None
    assert found.metadata.xmp is not None
    assert found.metadata.dpi == (240, 240)


def test_colours_of_heic_by_numbers_are_kept_for_png() -> None:
    data = bytearray(heic())
    assert read(bytes(data)).metadata.png_colour == ()
    at = data.index(b"nclx") + 4
    data[at : at + 4] = struct.pack(">HH", 12, 13)
    assert read(bytes(data)).metadata.png_colour == ((b"cICP", bytes([12, 13, 0, 1])),)


def test_damaged_heic_is_refused_in_one_line() -> None:
    data = heic()
    for share in (0.2, 0.6, 0.95):
        with pytest.raises(ImageError, match="the image is damaged") as caught:
            read(data[: int(len(data) * share)])
        assert str(caught.value).isprintable()


def test_heic_is_refused_by_its_header() -> None:
    with pytest.raises(ImageError, match=r"at most 0\.001 megapixels, found 96×64"):
        decode(heic(), "x", max_megapixels=0.001)


def test_where_the_package_is_missing_the_error_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "IMG_0001.HEIC").write_bytes(data := heic())
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError) as caught:
        decode(data, "IMG_0001.HEIC", max_megapixels=1)
    assert str(caught.value) == (
        "IMG_0001.HEIC: HEIC photos need a package that is not installed: "
        "pip install 'tinysr[heif]'"
    )
    # A folder of such photos alone is not empty: each is a job, which fails by this line.
    (job,) = plan_work([str(tmp_path)], str(tmp_path / "out")).jobs
    assert job.target == tmp_path / "out" / "IMG_0001.png"
