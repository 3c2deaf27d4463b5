"""Pixels of every kind go in, and come back as they were: depths, channels, opacity."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.reference import Array, photo
from tinysr.errors import ImageError
from tinysr.runtime import Upscaler


def test_uint8_is_rounded_to_the_nearest(bundle: Path) -> None:
    image = (photo(40, 36) * 255).astype(np.uint8)
    with Upscaler(bundle) as upscaler:
        found = upscaler.upscale(image)
        exact = upscaler.upscale(image.astype(np.float32) / np.float32(255))
    assert found.dtype == np.uint8
    assert np.abs(found - exact * 255).max() <= 0.5 + 1e-3


def test_the_input_is_left_as_it_was(bundle: Path) -> None:
    image = photo(40, 36)
    before = image.copy()
    with Upscaler(bundle) as upscaler:
        upscaler.upscale(image)
        upscaler.upscale(image[:1, :1])
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((8,), np.uint8),
        np.zeros((8, 8, 5), np.uint8),
        np.zeros((1, 8, 8, 3), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.int32),
        np.zeros((8, 8, 3), np.float16),
        np.full((8, 8, 3), 1.5, np.float32),
        np.full((8, 8), -0.1, np.float64),
        np.full((8, 8, 3), np.nan, np.float32),
    ],
    ids=["line", "five", "batch", "empty", "int32", "half", "over 1", "below 0", "nan"],
)
def test_arrays_that_are_no_image_are_refused(bundle: Path, array: Array) -> None:
    with Upscaler(bundle) as upscaler, pytest.raises(ImageError, match="expected"):
        upscaler.upscale(array)


WHITE = {"uint8": 255, "uint16": 65535, "float32": 1, "float64": 1}


@pytest.mark.parametrize("dtype", WHITE)
@pytest.mark.parametrize("channels", [(), (1,), (2,), (3,), (4,)], ids=str)
def test_arrays_of_every_kind_come_back_as_they_were(
    plain_bundle: Path, channels: tuple[int, ...], dtype: str
) -> None:
    """The plain bundle repeats pixels, so values can be followed through to the last digit."""
    rng = np.random.default_rng(5)
    image = (rng.random((40, 52, *channels)) * WHITE[dtype]).astype(dtype)
    with Upscaler(plain_bundle, color="none") as upscaler:
        found = upscaler.upscale(image)
    assert found.dtype == image.dtype
    expected = image.repeat(4, 0).repeat(4, 1)
    if channels in ((2,), (4,)):  # what is all but invisible has no colour left
        expected = np.where(expected[..., -1:] < WHITE[dtype] / 200, found, expected)
    tolerance = {"uint8": 0, "uint16": 1}.get(dtype, 2e-5)
    np.testing.assert_allclose(found, expected, atol=tolerance, rtol=0)


def test_a_constant_opacity_is_kept_and_costs_nothing(bundle: Path) -> None:
    color = (photo(40, 36) * 255).astype(np.uint8)
    image = np.dstack([color, np.full((36, 40), 77, np.uint8)])
    steps: list[int] = []
    with Upscaler(bundle) as upscaler:
        found = upscaler.upscale(image, lambda _, total: steps.append(total))
        plain: list[int] = []
        expected = upscaler.upscale(color, lambda _, total: plain.append(total))
    np.testing.assert_array_equal(found[..., :3], expected)
    assert (found[..., 3] == 77).all()
    assert steps == plain


def disc(side: int) -> tuple[Array, Array]:
    """Return a red disc on nothing, where "nothing" is stored as green, and radii in the result."""
    y, x = np.mgrid[:side, :side]
    radius = np.hypot(x - (side - 1) / 2, y - (side - 1) / 2)
    inside = radius < side / 3
    image = np.where(inside[..., None], [200, 20, 20, 255], [0, 255, 0, 0]).astype(np.uint8)
    return image, (radius / side).repeat(4, 0).repeat(4, 1)


def test_what_is_invisible_leaves_no_fringe(plain_bundle: Path) -> None:
    image, _ = disc(40)
    with Upscaler(plain_bundle, scale=3) as upscaler:  # resampled: edges have every opacity
        found = upscaler.upscale(image).astype(int)
    seen = found[..., 3] > 8
    assert (found[..., 3][seen] < 255).any()
    assert np.abs(found[..., :3][seen] - [200, 20, 20]).max() <= 24
    assert np.abs(found[..., :3][found[..., 3] > 128] - [200, 20, 20]).max() <= 2


@pytest.mark.parametrize("scale", [4, 3])
def test_alpha_that_is_data_costs_no_colour(bundle: Path, scale: float) -> None:
    """Both come out as they do alone: the colours as RGB, and alpha as an image in grey."""
    image, _ = disc(40)
    with Upscaler(bundle, scale=scale) as upscaler:
        found = upscaler.upscale(image, alpha_is_data=True)
        by_pillow = upscaler.upscale(Image.fromarray(image), alpha_is_data=True)
        colours = upscaler.upscale(image[..., :3].copy())
        seen = upscaler.upscale(image)
    np.testing.assert_array_equal(np.asarray(by_pillow), found)
    np.testing.assert_array_equal(found[..., :3], colours)
    np.testing.assert_array_equal(found[..., 3], seen[..., 3])
    assert found[:20, :20, 1].mean() > 150  # green, where nobody sees it
    assert not seen[:20, :20, :3].any()


def test_what_is_opaque_stays_opaque_however_the_network_wavers(bundle: Path) -> None:
    image, radius = disc(64)
    with Upscaler(bundle) as upscaler:
        opacity = upscaler.upscale(image)[..., 3]
    assert (opacity[radius < 1 / 3 - 0.04] == 255).all()
    assert (opacity[radius > 1 / 3 + 0.04] == 0).all()


def test_grey_equals_the_mean_of_the_same_image_in_rgb(bundle: Path) -> None:
    grey = photo(50, 41)[..., :1]
    with Upscaler(bundle, color="none") as upscaler:
        found = upscaler.upscale(grey)
        rgb = upscaler.upscale(grey.repeat(3, axis=2))
    inside = (rgb > 0).all(axis=2) & (rgb < 1).all(axis=2)  # nothing was clipped
    np.testing.assert_allclose(found[inside, 0], rgb.mean(axis=2)[inside], atol=1e-6)
