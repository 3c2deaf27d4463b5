"""Photos as training data: which are found, which are skipped, and how often one is taken."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.support.recipes import small_config
from tinysr.errors import CheckpointError, ImageError
from tinysr.training import StageRun
from tinysr.training.data import PatchBatches
from tinysr.training.engine import CHECKPOINT, SessionSettings, read_progress
from tinysr.training.photos import Photos
from tinysr.training.runner import RECORD, run_stage

QUIET = SessionSettings(watch_every=0)

pytestmark = pytest.mark.usefixtures("one_core")


def write_photo(path: Path, side: tuple[int, int], seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*side, 3), np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with two photos, a small one, a damaged one and a text."""
    folder = tmp_path / "photos"
    write_photo(folder / "a.png", (80, 100), 1)
    write_photo(folder / "more" / "b.jpg", (200, 90), 2)
    write_photo(folder / "small.png", (20, 200), 3)
    (folder / "damaged.png").write_bytes(b"\x89PNG nothing")
    (folder / "notes.txt").write_text("none")
    return folder


def test_photos_are_found_and_damaged_ones_are_skipped_with_a_line(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photos = Photos(folder, 64)
    assert [path.name for path in photos.paths] == ["a.png", "b.jpg"]
    assert photos.skipped == 2
    assert len(caplog.messages) == 2
    assert "200×20 pixels, expected 64 or more" in " ".join(caplog.messages)
    square = photos.square(np.random.default_rng(0), 64)
    assert square.shape == (64, 64, 3)


def test_a_photo_that_breaks_off_is_skipped_and_counted(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = (folder / "a.png").read_bytes()
    (folder / "a.png").write_bytes(whole[: len(whole) // 2])
    photos = Photos(folder, 64)
    before = photos.skipped
    for seed in range(8):
        photos.square(np.random.default_rng(seed), 64)
    assert photos.skipped == before + 1
    assert sum("a.png" in message for message in caplog.messages) == 1
    (folder / "more" / "b.jpg").unlink()
    with pytest.raises(ImageError, match="in a row are damaged"):
        Photos(folder, 64).square(np.random.default_rng(0), 64)


def test_a_folder_without_usable_images_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"no image of 512 pixels or more .*\(4 skipped\)"):
        Photos(folder, 512)
    with pytest.raises(ImageError, match="expected a folder of images"):
        Photos(tmp_path / "none", 64)


def test_patches_come_from_photos_by_their_share(folder: Path) -> None:
    def noisy(share: float) -> float:
        """Return the share of patches that are the photos' white noise."""
        config = small_config(data__photos=share, data__pool=64, optim__steps=99)
        batches = PatchBatches(config, Photos(folder, 64))
        high = torch.cat([batches.load(step).high for step in range(20)])
        return float((roughness(high) > 0.15).float().mean())

    assert noisy(0.0) < 0.1
    assert noisy(1.0) > 0.5
    assert noisy(0.0) < noisy(0.5) < noisy(1.0)


def roughness(images: Tensor) -> Tensor:
    return images.diff(dim=3).abs().mean((1, 2, 3))


def test_other_photos_are_another_run(folder: Path, tmp_path: Path) -> None:
    config = small_config(optim__steps=1, data__photos=0.5)
    job = StageRun(config=config, folder=tmp_path / "run", data=folder)
    run_stage(job, session=QUIET)
    assert json.loads((tmp_path / "run" / RECORD).read_text())["inputs"]["data"]
    assert read_progress(tmp_path / "run" / CHECKPOINT).step == 1
    write_photo(folder / "c.png", (80, 80), 5)
    with pytest.raises(CheckpointError, match="another data"):
        run_stage(job, resume=True, session=QUIET)
