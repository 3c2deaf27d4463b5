"""Damaged files, on request: what there is of a picture comes out, and it is said once."""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image, ImageFile

from tests.support.bundles import make_bundle
from tests.support.folder_runs import Seen, run
from tests.support.odd_cases import DAMAGED, REFUSED
from tests.support.odd_files import chunk, jpeg, png
from tests.support.pictures import seen_by_opencv
from tinysr.errors import ImageError
from tinysr.runtime import Upscaler
from tinysr.runtime.files import Decoded, Header, decode

SIDE = 64
NOISE: NDArray[Any] = np.random.default_rng(5).integers(40, 220, (SIDE, SIDE, 3)).astype(np.uint8)
SMOOTH = cv2.resize(NOISE[::8, ::8], (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
OFFER = "; --take-damaged enlarges what there is of it"
END = b"\xff\xd9"
TOLD = "; parts of it are missing or wrong"


def taken(data: bytes) -> Decoded:
    return decode(data, "this", max_megapixels=1, take_damaged=True)


def refused(data: bytes, *, take: bool = False) -> str:
    with pytest.raises(ImageError) as caught:
        decode(data, "this", max_megapixels=1, take_damaged=take)
    return str(caught.value)


def by_pillow(kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(NOISE).save(file, kind, **options)
    return file.getvalue()


def by_tifffile(**options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, NOISE, photometric="rgb", **options)
    return file.getvalue()


def rows_alike(found: NDArray[Any], wanted: NDArray[Any]) -> int:
    """Return how many rows from the top are the same."""
    same = (found == wanted).all(axis=(1, 2))
    return len(same) if same.all() else int(same.argmin())


FILES = {
    "png": png(NOISE),
    "tiff": by_tifffile(rowsperstrip=8),
    "tiff in one strip": by_tifffile(),
    "tiff, deflated": by_tifffile(rowsperstrip=8, compression="zlib"),
}


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_rows_that_are_there_come_out_and_the_others_are_empty(name: str, share: float) -> None:
    data = FILES[name]
    cut = data[: int(share * len(data))]
    assert refused(cut).endswith(OFFER)
    found = taken(cut)
    count = rows_alike(found.raster.pixels, NOISE)
    assert (share - 0.15) * SIDE <= count <= share * SIDE + 1
    assert not found.raster.pixels[count + 9 :].any()
    (note,) = found.notes
    assert note == refused(cut).removeprefix("this: ").removesuffix(OFFER) + TOLD


def test_a_damaged_png_is_what_pillow_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    cut = FILES["png"][:6000]
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    with Image.open(io.BytesIO(cut)) as image:
        seen = np.asarray(image.convert("RGB"))
    count = rows_alike(taken(cut).raster.pixels, seen)
    assert count >= 28


def test_a_png_whose_checksum_is_wrong_is_all_there() -> None:
    data = bytearray(FILES["png"])
    data[data.find(b"IDAT") - 5] ^= 1  # of the header's checksum
    assert "damaged" in refused(bytes(data))
    data = bytearray(FILES["png"])
    data[-14] ^= 1  # of the pixels' last checksum
    np.testing.assert_array_equal(taken(bytes(data)).raster.pixels, NOISE)


@pytest.mark.parametrize(("colour", "bits"), [(0, 1), (0, 16), (3, 4), (4, 8), (6, 16)])
@pytest.mark.parametrize("interlaced", [0, 1])
def test_rows_of_every_kind_of_png_are_counted_right(
    colour: int, bits: int, interlaced: int
) -> None:
    """All rows but the first bytes are missing; the decoder finds as many as it needs."""
    header = b"".join(n.to_bytes(4, "big") for n in (37, 21)) + bytes([bits, colour, 0, 0])
    first = zlib.compress(b"\0\xff")[:-4]
    palette = chunk(b"PLTE", bytes(range(48))) if colour == 3 else b""
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header + bytes([interlaced])) + palette
    found = taken(start + chunk(b"IDAT", first)).raster
    assert found.size == (37, 21)
    assert found.pixels[0].any()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.5, 0.7, 0.95])
def test_a_jpeg_is_what_opencv_sees_of_it(share: float, progressive: bool) -> None:
    data = jpeg(SMOOTH, progressive=progressive)
    cut = data[: 700 + int(share * (len(data) - 700))]
    assert refused(cut).endswith(OFFER)
    np.testing.assert_allclose(
        taken(cut).raster.pixels.astype(int), seen_by_opencv(cut + END).astype(int), atol=3
    )


@pytest.mark.parametrize(
    "name", [n for n, (_, words) in REFUSED.items() if words[:9] == DAMAGED[:9]]
)
def test_every_damaged_file_is_taken_or_has_nothing(name: str) -> None:
    data, _ = REFUSED[name]
    if name in ("no colours", "too few channels", "no scan"):
        assert refused(data, take=True).endswith("; nothing of it can be read")
    else:
        assert [note.endswith(TOLD) for note in taken(data).notes] == [True]


def test_a_bmp_without_its_last_bytes_has_black_at_the_top() -> None:
    found = taken(by_pillow("BMP")[: -SIDE * 3 * 10]).raster.pixels  # rows go from the bottom up
    np.testing.assert_array_equal(found[10:], NOISE[10:])
    assert not found[:10].any()


def test_a_webp_without_its_last_bytes_is_read_if_its_picture_is_whole() -> None:
    data = by_pillow("WEBP", lossless=True, exif=b"Exif\0\0II*\0" + bytes(600))
    np.testing.assert_array_equal(taken(data[:-300]).raster.pixels, NOISE)
    assert refused(data[:3000], take=True).endswith("; nothing of it can be read")


def test_what_is_whole_has_no_note() -> None:
    for data in (*FILES.values(), jpeg(NOISE), jpeg(NOISE)[:-2], by_pillow("BMP")):
        assert taken(data).notes == ()


def test_where_nothing_is_left_that_is_said() -> None:
    data = FILES["png"]
    assert refused(data[: data.find(b"IDAT") + 8], take=True).endswith("; nothing of it is left")


def test_sizes_are_checked_all_the_same() -> None:
    def accept(header: Header) -> None:
        raise ImageError("too large")

    for data in FILES.values():
        with pytest.raises(ImageError, match="too large"):
            decode(data[:6000], "this", max_megapixels=1, accept=accept, take_damaged=True)


def test_a_second_run_takes_what_the_first_refused(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    Image.fromarray(NOISE).save(photos / "a.png")
    (photos / "b.jpg").write_bytes(jpeg(NOISE)[:-900])
    with Upscaler(make_bundle(tmp_path / "twin")) as upscaler:
        first, _ = run(upscaler, photos)
        second, out = run(upscaler, photos, Seen(), take_damaged=True)
    assert [status for _, status in first.told] == ["made", "failed"]
    assert [status for _, status in second.told] == ["up to date", "made"]
    assert [note.endswith(TOLD) for note in second.items[1].notes] == [True]
    with Image.open(out / "b.jpg") as image:
        assert image.size == (4 * SIDE, 4 * SIDE)
