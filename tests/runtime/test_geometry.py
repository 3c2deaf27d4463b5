"""Sizes: every image becomes one that the graphs take, and exactly four times itself again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.chains import make_chain
from tinysr.errors import ImageError
from tinysr.runtime.geometry import pad, plan, resize

TILE = 128
CHAIN = make_chain(TILE)

sides = st.integers(1, 3000)


@pytest.mark.parametrize(
    ("size", "scaled", "padded"),
    [
        ((128, 128), (128, 128), (128, 128)),
        ((640, 480), (640, 480), (640, 480)),
        ((641, 483), (641, 483), (644, 484)),
        ((64, 64), (128, 128), (128, 128)),
        ((100, 150), (128, 192), (128, 192)),
        ((99, 150), (128, 194), (128, 196)),
        ((1, 1), (128, 128), (128, 128)),
        ((1, 16), (128, 2048), (128, 2048)),
        ((1, 17), (1, 17), (128, 128)),
        ((1, 4000), (1, 4000), (128, 4000)),
        ((4000, 1), (4000, 1), (4000, 128)),
        ((4001, 127), (4001, 127), (4004, 128)),
    ],
)
def test_sizes(size: tuple[int, int], scaled: tuple[int, int], padded: tuple[int, int]) -> None:
    sizes = plan(*size, CHAIN)
    assert (sizes.scaled, sizes.padded) == (scaled, padded)
    assert sizes.output == (4 * size[0], 4 * size[1])


@given(sides, sides)
def test_any_image_fits_the_graphs_without_becoming_gigantic(width: int, height: int) -> None:
    sizes = plan(width, height, CHAIN)
    for side, scaled, padded in zip((width, height), sizes.scaled, sizes.padded, strict=True):
        assert side <= scaled <= padded
        assert padded % 4 == 0
        assert padded >= TILE
        assert padded <= max(side + 3, 16 * TILE)


@given(sides, sides)
def test_images_of_a_tile_and_more_are_never_resampled(width: int, height: int) -> None:
    width, height = width + TILE, height + TILE
    assert plan(width, height, CHAIN).scaled == (width, height)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (0, 0)])
def test_images_without_pixels_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ImageError, match="at least 1×1"):
        plan(*size, CHAIN)


def test_padding_repeats_the_right_and_bottom_edge() -> None:
    image = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    padded = pad(image, (5, 4))
    assert padded.shape == (1, 4, 5)
    np.testing.assert_array_equal(padded[0, :2, :3], image[0])
    np.testing.assert_array_equal(padded[0, 2:], padded[0, [1, 1]])
    np.testing.assert_array_equal(padded[0, :, 3:], padded[0, :, [2, 2]].T)


def test_what_fits_is_not_copied() -> None:
    image = np.zeros((3, 8, 8), np.float32)
    assert pad(image, (8, 8)) is image
    assert resize(image, (8, 8)) is image


def test_resampling_stays_in_range() -> None:
    edge = np.zeros((3, 16, 16), np.float32)
    edge[:, :, 8:] = 1
    found = resize(edge, (50, 70))
    assert found.shape == (3, 70, 50)
    assert found.min() == 0
    assert found.max() == 1
