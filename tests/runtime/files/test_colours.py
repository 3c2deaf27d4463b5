"""Colours that a PNG says without a profile: kept in PNG, and said in a profile or refused."""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.support.bundles import make_bundle
from tests.support.odd_files import chunk, png
from tests.support.pictures import of_space, pixels, read, srgb
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
    "PQ": (codes(9, 16, 0, 1), "cICP: PQ, high dynamic range"),
    "HLG": (codes(9, 18, 0, 1), "cICP: HLG, high dynamic range"),
    "PQ, and a profile for those who know none": (codes(9, 16, 0, 1) + PROFILE, "cICP: PQ"),
    "YCbCr": (codes(9, 1, 9, 0), "cICP"),
    "no primaries": (chunk(b"cHRM", bytes(32)), "gAMA, cHRM"),
    "no gamma": (chunk(b"gAMA", bytes(4)), "gAMA, cHRM"),
}
"""Chunks that no profile stands for, and which of them the error names."""

BT709_POINTS = (0.3127, 0.3290, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
P3_POINTS = (0.3127, 0.3290, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060)
BT2020_POINTS = (0.3127, 0.3290, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046)
PROFILED = {
    "linear": (LINEAR, BT709_POINTS, 1.0),
    "Mac of old": (chunk(b"gAMA", parts(0.55556)), BT709_POINTS, 1.8),
    "wide": (USUAL + P3, P3_POINTS, 2.2),
    "P3 by numbers": (codes(12, 13, 0, 1), P3_POINTS, None),
    "linear BT.2020": (codes(9, 8, 0, 1), BT2020_POINTS, 1.0),
    "P3 by numbers, before a profile": (codes(12, 13, 0, 1) + PROFILE, P3_POINTS, None),
}
"""Chunks, and the primaries and the gamma that they mean; None is sRGB's curve."""

USUAL_COLOURS = {
    "nothing": b"",
    "sRGB": INTENT,
    "sRGB's gamma": USUAL,
    "sRGB's gamma and primaries": USUAL + BT709,
    "sRGB, which comes before gamma": INTENT + LINEAR,
    "a profile, which comes before gamma": PROFILE + LINEAR + P3,
    "sRGB by numbers": codes(1, 13, 0, 1),
}

ALL: dict[str, bytes] = {
    **{name: case[0] for name, case in MATTER.items()},
    **{name: case[0] for name, case in PROFILED.items()},
    **USUAL_COLOURS,
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


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("depth", ["uint8", "uint16"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_png_says_the_same_colours_of_the_same_values(name: str, depth: str, channels: int) -> None:
    before = png(image := pixels(depth, channels), ALL[name])
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


def light(values: np.ndarray, gamma: float | None) -> np.ndarray:
    if gamma is not None:
        return values**gamma
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def to_xyz(points: tuple[float, ...]) -> np.ndarray:
    """Return the matrix from light to XYZ; white is (0.95, 1, 1.09) for D65."""
    columns = [
        np.array([x / y, 1, (1 - x - y) / y])
        for x, y in zip(points[::2], points[1::2], strict=True)
    ]
    primaries = np.stack(columns[1:], axis=1)
    return primaries * np.linalg.solve(primaries, columns[0])


@pytest.mark.parametrize("name", PROFILED)
@pytest.mark.parametrize("file_format", OTHERS)
def test_other_formats_say_in_a_profile_what_littlecms_takes_for_the_same(
    name: str, file_format: str
) -> None:
    extra, points, gamma = PROFILED[name]
    data = written(read(png(pixels(), extra)), file_format)
    with Image.open(io.BytesIO(data)) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
    # Colours inside sRGB's triangle, as linear sRGB: from these back to the file's own values.
    rng = np.random.default_rng(3)
    srgb_light = rng.uniform(0.25, 0.75, (8, 8, 3))
    own = np.linalg.solve(to_xyz(points), to_xyz(BT709_POINTS)) @ srgb_light[..., None]
    table = np.linspace(0, 1, 100_001)
    values = np.interp(own[..., 0], light(table, gamma), table)
    seen = ImageCms.profileToProfile(
        Image.fromarray((values * 255).round().astype(np.uint8)), profile,
        ImageCms.createProfile("sRGB"), renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )  # fmt: skip
    assert seen is not None
    wanted = np.interp(srgb_light, light(table, None), table) * 255
    np.testing.assert_allclose(np.asarray(seen), wanted, atol=3)


@pytest.mark.parametrize(("file_format", "space"), [("jpg", b"GRAY"), ("tiff", b"GRAY"),
                                                    ("webp", b"RGB ")])  # fmt: skip
def test_grey_has_a_profile_that_fits_its_file(file_format: str, space: bytes) -> None:
    data = written(read(png(pixels(channels=1), LINEAR)), file_format)
    with Image.open(io.BytesIO(data)) as image:
        profile = image.info["icc_profile"]
        assert profile[16:20] == space
        assert ImageCms.getProfileDescription(
            ImageCms.ImageCmsProfile(io.BytesIO(profile))
        ).startswith("Made of a PNG's")


def test_srgb_by_numbers_comes_before_a_profile() -> None:
    other = of_space(srgb(), b"RGB ")[:-1] + b"x"
    named = chunk(b"iCCP", b"ICC\0\0" + zlib.compress(other))
    data = written(read(png(pixels(), codes(1, 13, 0, 1) + named)), "jpg")
    with Image.open(io.BytesIO(data)) as image:
        assert image.info["icc_profile"] != other
        assert b"M\0a\0d\0e" in image.info["icc_profile"]


def test_a_bmp_of_version_5_has_a_profile() -> None:
    image = pixels(width=28)
    rows = image[::-1, :, ::-1].tobytes()
    profile = srgb()
    start = 124 + len(rows)
    header = struct.pack("<IiiHHIIiiII", 124, 28, 20, 1, 24, 0, len(rows), 0, 0, 0, 0)
    header += bytes(16) + b"DEBM" + bytes(48) + struct.pack("<IIII", 4, start, len(profile), 0)
    data = b"BM" + struct.pack("<IHHI", 14 + start + len(profile), 0, 0, 14 + 124) + header
    found = read(data + rows + profile)
    np.testing.assert_array_equal(found.pixels, image)
    assert found.metadata.icc_profile == profile
    with Image.open(io.BytesIO(written(found, "jpg"))) as opened:
        assert opened.info["icc_profile"] == profile
    linked = data.replace(b"DEBM", b"KNIL")
    assert read(linked + rows + profile).metadata.icc_profile is None


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
