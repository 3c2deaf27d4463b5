"""Windows cover an image once, are of one size, and give what the whole image gives."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from tinysr.runtime.network.windows import (
    Span,
    Window,
    WindowLayout,
    lay_out,
    lay_out_fixed,
    lay_out_squares,
    run_windows,
)
from tinysr.runtime.session import Array

KERNEL = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 2, 3, 3), np.float32))

LENGTHS = st.integers(1, 400)
HALOS = st.integers(0, 19)


def shrinking(array: Array) -> Array:
    """Two 3×3 convolutions with zero padding, the second of stride 2: a halo of 1 latent."""
    x = F.conv2d(torch.from_numpy(array), KERNEL, padding=1)
    return F.conv2d(x, KERNEL, padding=1, stride=2).numpy()


def growing(array: Array) -> Array:
    """A convolution, nearest ×2, another one: a halo of 2."""
    x = F.conv2d(torch.from_numpy(array), KERNEL, padding=1)
    return F.conv2d(F.interpolate(x, scale_factor=2.0), KERNEL, padding=1).numpy()


def run(
    array: Array, layout: WindowLayout, stage: Callable[[Array], Array], reads: int, writes: int
) -> Array:
    height, width = layout.rows[-1].last * writes, layout.columns[-1].last * writes
    whole = np.full((1, 2, height, width), np.nan, np.float32)

    def put(window: Window, part: Array) -> None:
        y, x = (slice(s.first * writes, s.last * writes) for s in (window.y, window.x))
        assert np.isnan(whole[..., y, x]).all()
        whole[..., y, x] = part

    run_windows(array, layout, stage, put, reads=reads, writes=writes)
    return whole


@pytest.mark.parametrize("size", [(16, 16), (20, 16), (48, 36), (16, 100)])
@pytest.mark.parametrize("side", [5, 8, 13])
def test_windows_give_what_the_whole_gives(size: tuple[int, int], side: int) -> None:
    latents = np.random.default_rng(1).standard_normal((1, 2, *size), np.float32)
    image = np.random.default_rng(2).standard_normal((1, 2, 2 * size[0], 2 * size[1]), np.float32)
    layout = lay_out_squares(*size, halo=2, side=side)
    assert len(layout) > 1
    small, large = run(image, layout, shrinking, 2, 1), run(latents, layout, growing, 1, 2)
    np.testing.assert_allclose(small, shrinking(image), atol=1e-5)
    np.testing.assert_allclose(large, growing(latents), atol=1e-5)


@pytest.mark.parametrize("size", [(16, 16), (23, 16), (48, 37)])
def test_windows_of_one_shape_give_what_the_whole_gives(size: tuple[int, int]) -> None:
    latents = np.random.default_rng(3).standard_normal((1, 2, *size), np.float32)
    image = np.random.default_rng(4).standard_normal((1, 2, 2 * size[0], 2 * size[1]), np.float32)
    layout = lay_out_fixed(*size, halo=2, sides=(9,))
    assert {s.stop - s.start for s in (*layout.rows, *layout.columns)} == {9}
    small, large = run(image, layout, shrinking, 2, 1), run(latents, layout, growing, 1, 2)
    np.testing.assert_allclose(small, shrinking(image), atol=1e-5)
    np.testing.assert_allclose(large, growing(latents), atol=1e-5)


def check(spans: tuple[Span, ...], length: int, halo: int) -> None:
    assert spans[0].first == 0
    assert spans[-1].last == length
    assert len({span.stop - span.start for span in spans}) == 1
    for span in spans:
        assert 0 <= span.start <= span.first < span.last <= span.stop <= length
        assert span.start == 0 or span.first - span.start >= halo
        assert span.stop == length or span.stop - span.last >= halo
    assert all(before.last == after.first for before, after in pairwise(spans))


@given(height=LENGTHS, width=LENGTHS, halo=HALOS, area=st.integers(1, 200 * 200))
def test_layouts_cover_an_image_once_with_enough_around(
    height: int, width: int, halo: int, area: int
) -> None:
    layout = lay_out(height, width, halo=halo, area=area)
    check(layout.rows, height, halo)
    check(layout.columns, width, halo)
    assert layout.area <= max(area, (4 * halo) ** 2, 32**2)
    assert len(list(layout)) == len(layout)


@given(height=LENGTHS, width=LENGTHS, halo=HALOS, more=st.integers(1, 300))
def test_square_layouts_keep_to_their_side(height: int, width: int, halo: int, more: int) -> None:
    layout = lay_out_squares(height, width, halo=halo, side=2 * halo + more)
    check(layout.rows, height, halo)
    check(layout.columns, width, halo)
    assert all(span.stop - span.start <= 2 * halo + more for span in layout.rows + layout.columns)


@given(more=st.integers(0, 300), halo=HALOS, core=st.integers(1, 100))
def test_windows_of_one_shape_cover_every_length(more: int, halo: int, core: int) -> None:
    side = 2 * halo + core
    layout = lay_out_fixed(side + more, side, halo=halo, sides=(side,))
    check(layout.rows, side + more, halo)
    check(layout.columns, side, halo)
    assert len(layout.columns) == 1


def test_images_that_fit_are_run_whole_and_strips_in_long_windows() -> None:
    assert len(lay_out(64, 64, halo=19, area=64 * 64)) == 1
    assert len(lay_out(40, 1000, halo=19, area=40_000)) == 1
    strip = lay_out(80, 2000, halo=19, area=80 * 500)
    assert len(strip.rows) == 1
    assert len(strip.columns) == 5


@given(height=LENGTHS, width=LENGTHS, halo=HALOS)
def test_squares_of_the_same_area_hardly_cost_less(height: int, width: int, halo: int) -> None:
    area = max((4 * halo) ** 2, 32**2) + 500
    found = lay_out(height, width, halo=halo, area=area)
    squares = lay_out_squares(height, width, halo=halo, side=math.isqrt(area))
    assert found.area * len(found) <= 1.1 * squares.area * len(squares)
