"""Images to calibrate on: the same for a seed, or those of a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.calibrating import SUITE
from tests.support.tiny_models import TILE
from tinysr.calibration import calibration_images
from tinysr.errors import CalibrationError, ImageError
from tinysr.suite import suite

pytestmark = pytest.mark.usefixtures("one_thread")


def test_images_are_the_same_for_the_same_seed() -> None:
    def pixels(seed: int) -> list[bytes]:
        made = calibration_images(TILE, seed=seed)
        return [image.load().pixels.tobytes() for image in made]

    first, again, other = pixels(80), pixels(80), pixels(81)
    assert len(first) == 32
    assert first == again
    assert first[:SUITE] == other[:SUITE]
    assert all(a != b for a, b in zip(first[SUITE:], other[SUITE:], strict=True))


def test_a_folder_takes_the_place_of_the_degraded_photos(tmp_path: Path) -> None:
    Image.new("RGB", (40, 9), "red").save(tmp_path / "red.png")
    names = [i.name for i in calibration_images(TILE, folder=tmp_path)]
    assert names == [*(i.name for i in suite(TILE)), "red.png"]


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="no images here"):
        calibration_images(TILE, folder=tmp_path)
    with pytest.raises(CalibrationError, match="limit of at least 1"):
        calibration_images(TILE, limit=0)


def test_a_damaged_photo_is_found_before_anything_is_measured_and_the_others_are_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8)
    for name in ("a.png", "c.png"):
        Image.fromarray(noise).save(tmp_path / name)
    # Its header is whole: only who decodes it finds out.
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:2000])
    names = [image.name for image in calibration_images(TILE, folder=tmp_path)]
    assert names[-2:] == ["a.png", "c.png"]
    assert "b.png: expected an image" in caplog.text
