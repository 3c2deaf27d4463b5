"""Tiles cover every latent pixel, and blending neither adds nor loses anything."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.chains import blend_whole
from tinysr.runtime.network.tiling import blend, gaussian, lay_grid, place_tiles
from tinysr.runtime.session import Array


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (64, (0,)),
        (66, (0, 2)),
        (120, (0, 56)),
        (122, (0, 56, 58)),
        (176, (0, 56, 112)),
        (178, (0, 56, 112, 114)),
    ],
)
def test_tiles_start_every_stride_and_end_flush(length: int, expected: tuple[int, ...]) -> None:
    assert place_tiles(length, 64, 8) == expected


@given(st.integers(0, 300), st.integers(2, 32), st.integers(0, 31))
def test_tiles_cover_a_side_with_the_overlap(more: int, half: int, overlap: int) -> None:
    tile = 2 * half
    overlap = 2 * (min(overlap, half - 1) // 2)
    length = tile + 2 * more
    found = place_tiles(length, tile, overlap)
    assert found[0] == 0
    assert found[-1] + tile == length
    assert all(0 < b - a <= tile - overlap for a, b in pairwise(found))
    assert all(start % 2 == 0 for start in found)


def test_weights_are_symmetric_positive_and_those_of_the_formula() -> None:
    line = gaussian(64)
    weight = np.outer(line, line)
    np.testing.assert_array_equal(weight, weight.T)
    np.testing.assert_array_equal(weight, weight[::-1, ::-1])
    assert weight.min() > 0
    one = np.exp(-((3 - 31.5) ** 2) / 64**2 / 0.02) / np.sqrt(2 * np.pi * 0.01)
    other = np.exp(-((40 - 31.5) ** 2) / 64**2 / 0.02) / np.sqrt(2 * np.pi * 0.01)
    assert weight[3, 40] == pytest.approx(one * other, rel=1e-6)


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_blending_a_function_of_single_pixels_gives_that_function(batch: int) -> None:
    rng = np.random.default_rng(0)
    latents = rng.standard_normal((1, 4, 30, 46), dtype=np.float32)
    found = blend_whole(latents, lay_grid(30, 46, 16, 4), np.tanh, batch=batch)
    np.testing.assert_allclose(found, np.tanh(latents), atol=1e-6)


def test_batches_are_never_larger_than_asked_and_all_tiles_are_counted() -> None:
    sizes: list[int] = []
    done: list[int] = []

    def predict(tiles: Array) -> Array:
        sizes.append(len(tiles))
        return tiles

    tiles = lay_grid(40, 40, 16, 4)
    image = np.zeros((1, 4, 40, 40), np.float32)
    blend_whole(image, tiles, predict, batch=4, done=done.append)
    assert sizes == done == [4, 4, 1]
    assert len(tiles) == 9


def test_a_single_tile_is_passed_through_bit_for_bit() -> None:
    rng = np.random.default_rng(1)
    latents = rng.standard_normal((1, 4, 16, 16), dtype=np.float32)
    answer = rng.standard_normal((1, 4, 16, 16), dtype=np.float32)
    found = blend_whole(latents, lay_grid(16, 16, 16, 4), lambda _: answer)
    np.testing.assert_array_equal(found, answer)


@pytest.mark.parametrize(("reads", "writes"), [(1, 2), (2, 1), (2, 6)])
def test_results_of_another_resolution_are_blended_row_by_row(reads: int, writes: int) -> None:
    rng = np.random.default_rng(2)
    image = rng.standard_normal((1, 3, 30 * reads, 22 * reads), dtype=np.float32)

    def enlarge(tiles: Array) -> Array:
        cells = np.tanh(tiles[..., ::reads, ::reads])
        return cells.repeat(writes, axis=2).repeat(writes, axis=3)

    whole = np.full((1, 3, 30 * writes, 22 * writes), np.nan, np.float32)

    def put(top: int, left: int, part: Array) -> None:
        rows, columns = part.shape[2:]
        assert rows <= 12 * writes  # no more than a row of tiles is held
        place = whole[..., top : top + rows, left : left + columns]
        assert np.isnan(place).all()
        place[...] = part

    blend(image, lay_grid(30, 22, 12, 4), enlarge, put, reads=reads, writes=writes, batch=2)
    np.testing.assert_allclose(whole, enlarge(image), atol=1e-6)
