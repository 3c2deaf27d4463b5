"""The Upscaler equals MODEL.md's recipe, written down plainly in PyTorch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.bundles import TILE, TwinModel, edit_manifest, make_bundle
from tests.support.chains import change_stage
from tests.support.reference import photo, reference, resized
from tinysr.errors import BundleError, ImageError, UnsupportedError
from tinysr.runtime import Upscaler

SIZES = [
    (TILE, TILE),
    (20, 24),
    (24, 20),
    (31, 33),
    (33, 40),
    (64, 64),
    (37, 45),
    (90, 35),
    (1, 1),
    (1, 17),
    (100, 1),
    (3, 48),
    (7, 400),
]
"""Width and height: below, at and above a tile, multiples and not, strips."""


@pytest.mark.parametrize("color", ["adain", "wavelet", "none"])
@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
def test_result_equals_the_recipe(bundle: Path, size: tuple[int, int], color: str) -> None:
    image = photo(*size)
    with Upscaler(bundle, color=color) as upscaler:
        found = upscaler.upscale(image)
    expected = reference(image, color)
    assert found.shape == expected.shape == (4 * size[1], 4 * size[0], 3)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 3, "N"])
def test_batches_of_tiles_do_not_change_the_result(tmp_path: Path, batch: int | str) -> None:
    image = photo(90, 70)
    with Upscaler(make_bundle(tmp_path / "b", batch=batch)) as upscaler:
        found = upscaler.upscale(image)
    np.testing.assert_allclose(found, reference(image, "adain"), atol=1e-5)


def test_eager_backend_gives_the_same(bundle: Path) -> None:
    image = photo(50, 41)
    with Upscaler(bundle, backend="eager", model=TwinModel()) as upscaler:
        assert "reference" in upscaler.choice.reason
        np.testing.assert_allclose(upscaler.upscale(image), reference(image, "adain"), atol=1e-5)


def test_tiles_leave_no_trace_where_the_model_looks_at_single_pixels(plain_bundle: Path) -> None:
    """Without noise the model only repeats pixels, so a blend of tiles has to do so as well."""
    image = photo(75, 61)
    with Upscaler(plain_bundle, color="none") as upscaler:
        found = upscaler.upscale(image)
    np.testing.assert_allclose(found, image.repeat(4, 0).repeat(4, 1), atol=1e-6)


@pytest.mark.parametrize("color", ["adain", "wavelet", "none"])
@pytest.mark.parametrize("size", [(32, 32), (70, 45), (1, 200), (5, 5)])
def test_uniform_images_stay_uniform_and_right(
    plain_bundle: Path, color: str, size: tuple[int, int]
) -> None:
    with Upscaler(plain_bundle, color=color) as upscaler:
        for value in (0, 1, 37, 128, 254, 255):
            found = upscaler.upscale(np.full((size[1], size[0], 3), value, np.uint8))
            assert (found == value).all()


def test_progress_counts_every_tile(bundle: Path) -> None:
    seen = []
    with Upscaler(bundle) as upscaler:
        upscaler.upscale(photo(64, 32), progress=lambda done, total: seen.append((done, total)))
    assert [total for _, total in seen] == [seen[-1][1]] * len(seen)
    assert seen[0] == (1, 5)
    assert seen[-1] == (5, 5)


def test_absurd_sizes_are_refused_with_the_option_that_allows_them(bundle: Path) -> None:
    with Upscaler(bundle, max_megapixels=0.1) as upscaler:
        upscaler.upscale(photo(64, 64))
        with pytest.raises(ImageError, match="--max-megapixels"):
            upscaler.upscale(photo(100, 100))
        with pytest.raises(ImageError, match="--max-megapixels"):
            upscaler.upscale(Image.new("L", (100, 100)))


@pytest.mark.parametrize("scale", [1, 2, 3, 3.7, 4, 6])
@pytest.mark.parametrize("size", [(64, 48), (33, 57), (9, 5), (1, 1)])
def test_other_scales_are_the_result_resampled(
    bundle: Path, size: tuple[int, int], scale: float
) -> None:
    image = photo(*size) * np.float32(0.4) + np.float32(0.3)  # so that nothing is clipped
    with Upscaler(bundle, scale=scale) as upscaler:
        found = upscaler.upscale(image)
        assert upscaler.output_size(*size) == (found.shape[1], found.shape[0])
    width, height = (max(1, math.floor(side * scale + 0.5)) for side in size)
    assert found.shape == (height, width, 3)
    if min(size) >= TILE and scale != 4:
        with Upscaler(bundle) as upscaler:
            four = torch.from_numpy(upscaler.upscale(image)).permute(2, 0, 1).contiguous()
        expected = resized(four, width, height).permute(1, 2, 0).numpy()
        np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("scale", [0, -1, 0.01, 17, math.nan, math.inf])
def test_absurd_scales_are_refused(bundle: Path, scale: float) -> None:
    with pytest.raises(UnsupportedError, match=r"expected a number from 0\.1 to 16"):
        Upscaler(bundle, scale=scale)


def test_a_result_gives_its_pixels_once(bundle: Path) -> None:
    with Upscaler(bundle) as upscaler:
        result = upscaler.infer(photo(32, 32))
    assert result.pixels().shape == (128, 128, 3)  # the graphs are no longer needed
    with pytest.raises(UnsupportedError, match="once"):
        result.pixels()


def test_results_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    broken = make_bundle(tmp_path / "b", noise=float("inf"))
    with Upscaler(broken) as upscaler, pytest.raises(BundleError, match="NaN"):
        upscaler.upscale(photo(32, 32))


def test_a_closed_upscaler_says_so(bundle: Path) -> None:
    upscaler = Upscaler(bundle)
    upscaler.close()
    upscaler.close()
    with pytest.raises(UnsupportedError, match="closed"):
        upscaler.upscale(photo(32, 32))


def test_unknown_colour_fix_is_refused(bundle: Path) -> None:
    with pytest.raises(UnsupportedError, match="adain, none, wavelet"):
        Upscaler(bundle, color="sepia")


CONTRADICTIONS = {
    "expected a tile that divides by 4, found 34": lambda data: data.update(tile=34),
    "divide by 2 cells, found 16 and 3": lambda data: change_tiles(data, overlap=3),
    "expected an overlap below 16 cells": lambda data: change_tiles(data, overlap=16),
    "expected 'latents' of channels and sides": lambda data: change_tiles(data, side=32),
}


def change_tiles(data: dict[str, Any], **values: int) -> None:
    change_stage(data, "transformer", division=values)


@pytest.mark.parametrize("words", CONTRADICTIONS)
def test_a_manifest_that_contradicts_itself_is_refused(tmp_path: Path, words: str) -> None:
    folder = make_bundle(tmp_path / "b")
    edit_manifest(folder, CONTRADICTIONS[words])
    with pytest.raises(BundleError, match=words):
        Upscaler(folder)


@pytest.mark.parametrize("color", ["adain", "wavelet", "none"])
def test_large_images_are_coded_in_windows_with_the_same_result(bundle: Path, color: str) -> None:
    image = photo(150, 90)
    seen: list[tuple[int, int]] = []
    with Upscaler(bundle, color=color, window=40) as upscaler:
        found = upscaler.upscale(image, lambda done, total: seen.append((done, total)))
    np.testing.assert_allclose(found, reference(image, color), atol=1e-5)
    assert [done for done, _ in seen][-1] == seen[0][1]
    assert sum(1 for _ in seen) > 24


def test_large_results_of_8_bits_wait_in_16_bits(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = (photo(150, 90) * 255).astype(np.uint8)
    with Upscaler(bundle, window=40) as upscaler:
        exact = upscaler.upscale(image).astype(int)
        monkeypatch.setattr("tinysr.runtime.footprint._LARGE", 0)
        found = upscaler.upscale(image).astype(int)
    assert np.abs(found - exact).max() <= 1
    assert (found != exact).mean() < 0.01


@pytest.mark.parametrize("window", [-2, 0, 33])
def test_windows_that_give_nothing_are_refused(bundle: Path, window: int) -> None:
    with pytest.raises(UnsupportedError, match="expected a multiple of 2 pixels over 0"):
        Upscaler(bundle, window=window)
