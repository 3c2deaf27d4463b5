"""Image files and Pillow images of every kind: read right, written whole, refused in one line."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bundles import make_bundle
from tinysr.errors import ImageError, TinySRError, UnsupportedError
from tinysr.runtime import Upscaler
from tinysr.runtime.images import check_writable, load, save
from tinysr.runtime.pixels import picture_from_pil

ORIENTATION = 0x0112
ARTIST = 0x013B


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "plain", noise=0.0)


def gradient(width: int = 40, height: int = 36) -> Image.Image:
    y, x = np.mgrid[:height, :width]
    return Image.fromarray(np.stack([x * 6, y * 7, x + y], axis=2).astype(np.uint8))


def refused(path: Path, words: str) -> None:
    with pytest.raises(ImageError, match=words) as caught:
        load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_files_are_named(tmp_path: Path) -> None:
    refused(tmp_path / "none.png", "No such file")


def test_folders_are_no_images(tmp_path: Path) -> None:
    refused(tmp_path, "Is a directory")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif", "a.bmp"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_files_are_refused(tmp_path: Path, name: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = tmp_path / name
    Image.fromarray(noise).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    refused(path, "image")


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "an empty file"), (b"hello, world", "something else"), (b"\x89PNG\r\n\x1a\n", "image")],
    ids=["empty", "text", "header"],
)
def test_what_is_no_image_is_refused(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(data)
    refused(path, words)


def test_formats_that_are_not_offered_are_refused(tmp_path: Path) -> None:
    gradient().save(tmp_path / "a.gif")
    refused(tmp_path / "a.gif", "expected a PNG, JPEG, WebP, TIFF or BMP")


def test_decompression_bombs_are_refused(tmp_path: Path) -> None:
    Image.new("1", (20000, 20000)).save(tmp_path / "bomb.png")
    refused(tmp_path / "bomb.png", "decompression bomb")


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.jpeg", "a.webp", "A.PNG"])
def test_images_are_written_in_the_format_of_their_suffix(tmp_path: Path, name: str) -> None:
    path = tmp_path / "new" / "folder" / name
    save(gradient(), path)
    found = load(path)
    difference = np.asarray(found, np.int16) - np.asarray(gradient(), np.int16)
    assert np.abs(difference).max() <= (0 if path.suffix.lower() == ".png" else 16)
    assert [p.name for p in path.parent.iterdir()] == [name]


def test_jpeg_keeps_all_colour(tmp_path: Path) -> None:
    save(gradient(), tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3


@pytest.mark.parametrize("name", ["a", "a.gif", "a.txt"])
def test_other_suffixes_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UnsupportedError, match=r"expected one of \.jpeg, \.jpg, \.png, \.webp"):
        save(gradient(), tmp_path / name)


def test_existing_files_are_kept_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("precious")
    for attempt in (lambda: save(gradient(), path), lambda: check_writable(path)):
        with pytest.raises(ImageError, match="exists and is kept; --overwrite"):
            attempt()
    assert path.read_text() == "precious"
    check_writable(path, overwrite=True)
    save(gradient(), path, overwrite=True)
    assert load(path).size == (40, 36)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_text("precious")

    def fill_disk(_: Image.Image, file: io.BufferedWriter, **__: object) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", fill_disk)
    with pytest.raises(ImageError, match="can't be written: No space left"):
        save(gradient(), path, overwrite=True)
    assert path.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [path]


def test_folders_that_can_not_be_made_are_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "folder" / "a.png"
    for attempt in (lambda: save(gradient(), path), lambda: check_writable(path)):
        with pytest.raises(ImageError, match="can't be written"):
            attempt()
    (tmp_path / "b.png").mkdir()
    with pytest.raises(ImageError, match="it is a folder"):
        save(gradient(), tmp_path / "b.png", overwrite=True)


def test_sizes_that_a_format_can_not_hold_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"a\.webp: WEBP can't hold"):
        save(Image.new("RGB", (16400, 2)), tmp_path / "a.webp")
    assert list(tmp_path.iterdir()) == []


def test_jpeg_refuses_to_lose_transparency(tmp_path: Path) -> None:
    clear = gradient()
    clear.putalpha(100)
    with pytest.raises(ImageError, match="JPEG holds no transparency"):
        save(clear, tmp_path / "a.jpg")
    clear.putalpha(255)
    save(clear, tmp_path / "a.jpg")
    assert load(tmp_path / "a.jpg").mode == "RGB"


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "HSV", "I;16", "I", "F"])
def test_every_mode_becomes_the_same_rgb(mode: str) -> None:
    """A picture of black and white only, which all modes can hold."""
    squares = (np.indices((16, 16)).sum(axis=0) % 2 * 255).astype(np.uint8)
    scale = {"I;16": (257, np.uint16), "I": (257, np.int32), "F": (1 / 255, np.float32)}
    if mode in scale:
        factor, dtype = scale[mode]
        image = Image.fromarray((squares * np.float64(factor)).astype(dtype))
        assert image.mode == mode
    else:
        image = Image.fromarray(squares).convert("RGB").convert(mode)
    found = picture_from_pil(image).planes
    assert found.shape == (3, 16, 16)
    np.testing.assert_allclose(found, np.stack([squares / 255] * 3), atol=0.01)


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    ramp = np.arange(0, 65536, 256, dtype=np.uint16).reshape(16, 16)
    found = picture_from_pil(Image.fromarray(ramp)).planes
    np.testing.assert_allclose(found[0], ramp / 65535, atol=0.51 / 255)


@pytest.mark.parametrize("value", [-1.0, 2.0, float("nan")])
def test_float_images_out_of_range_are_refused(value: float) -> None:
    with pytest.raises(ImageError, match="expected grey values"):
        picture_from_pil(Image.fromarray(np.full((4, 4), value, np.float32)))


def test_images_without_pixels_are_refused(bundle: Path) -> None:
    with Upscaler(bundle) as upscaler, pytest.raises(ImageError, match="at least 1×1"):
        upscaler.upscale(Image.new("RGB", (0, 5)))


def test_orientation_is_applied_and_dropped(tmp_path: Path, bundle: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    exif[ARTIST] = "someone"
    gradient().save(tmp_path / "a.jpg", exif=exif, quality=100)
    with Upscaler(bundle) as upscaler:
        with Image.open(tmp_path / "a.jpg") as image:
            turned = upscaler.upscale(image)
        save(upscaler.upscale(load(tmp_path / "a.jpg")), tmp_path / "b.png")
    assert turned.size == (36 * 4, 40 * 4)
    found = load(tmp_path / "b.png")
    assert found.size == turned.size
    assert found.getexif().get(ORIENTATION) is None
    assert found.getexif()[ARTIST] == "someone"


def test_icc_profiles_are_kept_where_they_fit(tmp_path: Path, bundle: Path) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    gradient().save(tmp_path / "rgb.png", icc_profile=profile)
    gradient().convert("L").save(tmp_path / "grey.png", icc_profile=profile)
    with Upscaler(bundle) as upscaler:
        save(upscaler.upscale(load(tmp_path / "rgb.png")), tmp_path / "a.webp")
        grey = upscaler.upscale(load(tmp_path / "grey.png"))
    assert load(tmp_path / "a.webp").info["icc_profile"] == profile
    assert "icc_profile" not in grey.info


@pytest.mark.parametrize("mode", ["RGBA", "LA", "PA"])
def test_transparency_is_kept(bundle: Path, mode: str) -> None:
    image = gradient().convert("RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    with Upscaler(bundle) as upscaler:
        found = upscaler.upscale(image.convert(mode))
    assert found.mode == "RGBA"
    assert found.size == (160, 144)
    back = found.getchannel("A").resize(image.size, Image.Resampling.BOX)
    difference = np.asarray(back, np.int16) - np.asarray(image.getchannel("A"), np.int16)
    assert np.abs(difference).max() <= 3


def test_a_transparent_palette_colour_is_kept(bundle: Path, tmp_path: Path) -> None:
    image = gradient().quantize(8)
    image.save(tmp_path / "a.png", transparency=0)
    with Upscaler(bundle) as upscaler:
        found = upscaler.upscale(load(tmp_path / "a.png"))
    assert found.getchannel("A").getextrema() == (0, 255)


def test_pillow_and_numpy_give_the_same_pixels(bundle: Path) -> None:
    with Upscaler(bundle) as upscaler:
        found = upscaler.upscale(gradient())
        same = upscaler.upscale(np.asarray(gradient()))
    assert found.mode == "RGB"
    np.testing.assert_array_equal(np.asarray(found), same)


def test_all_image_errors_end_with_the_same_exit_code() -> None:
    assert ImageError.exit_code == UnsupportedError.exit_code == TinySRError.exit_code == 2
