"""The suite: the images that every artifact must pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinysr.errors import ImageError
from tinysr.suite.images import PHOTOS, fit, suite, user_images
from tinysr.suite.photos import CROPS, write_photos

SMOOTH = ("black", "white", "grey", "orange", "gradient")


@pytest.mark.parametrize("tile", [16, 64, 128, 200])
def test_every_image_is_a_tile_in_range(tile: int) -> None:
    for image in suite(tile):
        assert image.pixels.shape == (3, tile, tile)
        assert image.pixels.dtype == np.float32
        assert image.pixels.flags.c_contiguous
        assert image.pixels.min() >= 0
        assert image.pixels.max() <= 1


def test_the_suite_is_the_same_every_time() -> None:
    for one, other in zip(suite(64), suite(64), strict=True):
        assert one.name == other.name
        assert np.array_equal(one.pixels, other.pixels)


def test_it_has_photos_and_the_tiles_on_which_half_precision_breaks() -> None:
    names = [image.name for image in suite()]
    assert len(names) == len(set(names))
    assert {*PHOTOS, *SMOOTH, "checkerboard", "noise", "text"} == set(names)


def test_flat_tiles_are_flat_and_the_others_are_not() -> None:
    for image in suite(64):
        spread = np.ptp(image.pixels, axis=(1, 2)).max()
        assert (spread == 0) == (image.kind == "flat"), image.name


def test_a_small_tile_is_the_centre_of_a_photo_and_a_large_one_holds_it() -> None:
    photo = suite(128)[0].pixels
    assert np.array_equal(suite(64)[0].pixels, photo[:, 32:96, 32:96])
    assert np.array_equal(suite(256)[0].pixels[:, 64:192, 64:192], photo)


def test_what_is_thinner_than_a_tile_is_mirrored_outwards() -> None:
    line = np.arange(3, dtype=np.float32).reshape(1, 1, 3).repeat(3, axis=0)
    assert fit(line, 5)[0].tolist() == [[0, 0, 1, 2, 2]] * 5


def test_the_photos_are_small_and_each_has_its_origin() -> None:
    import tinysr.suite

    folder = Path(tinysr.suite.__file__).parent / "photos"
    files = sorted(folder.iterdir())
    assert [file.stem for file in files] == sorted(PHOTOS) == sorted(CROPS)
    assert sum(file.stat().st_size for file in files) < 300_000


def test_the_photos_can_be_made_again(tmp_path: Path) -> None:
    write_photos(tmp_path)
    for image in suite():
        if image.kind == "photo":
            again = np.asarray(Image.open(tmp_path / f"{image.name}.png").convert("RGB"))
            error = np.abs(again.transpose(2, 0, 1) / 255 - image.pixels)
            assert error.max() < 0.05, image.name  # JPEG decoders differ by a little


def test_a_folder_of_images_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    Image.new("RGBA", (40, 10), "red").save(tmp_path / "b.png")
    Image.new("L", (9, 90), 255).save(tmp_path / "a.jpg")
    (tmp_path / "notes.txt").write_text("no image")
    images = user_images(tmp_path, 32)
    assert [image.name for image in images] == ["a.jpg", "b.png"]
    assert [image.kind for image in images] == ["user", "user"]
    assert images[1].pixels[:, 0, 0].tolist() == [1, 0, 0]
    assert images[0].pixels.shape == (3, 32, 32)


def test_what_cant_be_read_is_named_and_the_rest_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.png", "c.jfif"):
        Image.new("RGB", (40, 10), "red").save(tmp_path / name)
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:50])
    assert [image.name for image in user_images(tmp_path, 32)] == ["a.png", "c.jfif"]
    (record,) = caplog.records
    assert record.getMessage() == (
        f"{tmp_path / 'b.png'}: expected an image, found none that can be read; it is left out"
    )


def test_folders_that_are_of_no_use_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no images here"):
        user_images(tmp_path, 32)
    with pytest.raises(ImageError, match="missing: expected a folder"):
        user_images(tmp_path / "missing", 32)
    (tmp_path / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(ImageError, match=r"cut\.png: expected an image"):
        user_images(tmp_path, 32)
