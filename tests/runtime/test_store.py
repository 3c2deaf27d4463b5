"""The store gives back what was put in: exactly, or within a sixteen-bit step of its range."""

from __future__ import annotations

import numpy as np
import pytest

from tinysr.runtime.geometry import Planes
from tinysr.runtime.store import Moments, Store


def planes(seed: int, *shape: int) -> Planes:
    return np.random.default_rng(seed).normal(0.5, 0.4, shape).astype(np.float32)


def filled(image: Planes, *, compact: bool, window: tuple[int, int] = (30, 24)) -> Store:
    """Put an image in window by window; the last ones hang over its edges."""
    channels, height, width = image.shape
    padded = np.pad(image, ((0, 0), (0, 7), (0, 5)), constant_values=99)
    store = Store(channels, height, width, compact=compact)
    for row in range(0, height, window[0]):
        for column in range(0, width, window[1]):
            rows, columns = slice(row, row + window[0]), slice(column, column + window[1])
            assert store.put(row, column, padded[:, rows, columns])
    return store


@pytest.mark.parametrize("step", [1, 13, 30, 100])
def test_what_was_put_in_is_taken_out(step: int) -> None:
    image = planes(0, 3, 100, 70)
    exact, compact = filled(image, compact=False), filled(image, compact=True)
    for start in range(0, 100, step):
        stop = min(start + step, 100)
        np.testing.assert_array_equal(exact.take(start, stop), image[:, start:stop])
        found = compact.take(start, stop)
        assert np.abs(found - image[:, start:stop]).max() <= np.ptp(image) / 65535 * 0.51


def test_compact_values_scale_with_their_window() -> None:
    """A window of small values keeps its digits beside one of huge values."""
    image = np.concatenate([planes(1, 1, 30, 24) * 1e4, planes(2, 1, 30, 24)], axis=2)
    found = filled(image, compact=True).take(0, 30)
    assert np.abs(found - image)[:, :, 24:].max() < 1e-4


@pytest.mark.parametrize("compact", [True, False])
@pytest.mark.parametrize("value", [0.0, 1.0, -3.5])
def test_constants_are_exact(compact: bool, value: float) -> None:
    image = np.full((1, 40, 40), value, np.float32)
    np.testing.assert_array_equal(filled(image, compact=compact).take(0, 40), image)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_told(value: float) -> None:
    image = planes(3, 3, 20, 20)
    image[1, 19, 19] = value
    assert not Store(3, 20, 20, compact=True).put(0, 0, image)
    assert Store(3, 20, 19, compact=True).put(0, 0, image)  # the padding does not count


def test_moments_are_those_of_the_whole_image() -> None:
    image = planes(4, 3, 100, 70) * np.float32(0.01) + np.float32(0.97)
    moments = filled(image, compact=True).moments
    wide = image.astype(np.float64)
    np.testing.assert_allclose(moments.mean, wide.mean(axis=(1, 2)), rtol=1e-9)
    expected = np.sqrt(wide.var(axis=(1, 2), ddof=1) + 1e-5)
    np.testing.assert_allclose(moments.deviation(1e-5), expected, rtol=1e-6)


def test_moments_of_millions_of_values_keep_their_digits() -> None:
    moments = Moments(1)
    for seed in range(8):
        moments.add(planes(seed, 1, 512, 512) * np.float32(1e-4) + np.float32(1))
    np.testing.assert_allclose(moments.mean, 1.00005, rtol=1e-6)
    assert 3.9e-5 < moments.deviation(0)[0] < 4.1e-5


def test_rows_that_were_passed_are_freed() -> None:
    store = filled(planes(5, 3, 100, 70), compact=False)
    store.take(0, 10)
    store.take(61, 100)
    assert [band.first for band in store._bands] == [60, 90]
