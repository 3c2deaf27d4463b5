"""The colour fixes against PyTorch, and on their own terms."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tinysr.errors import UnsupportedError
from tinysr.runtime.color import COLORS, adain, color_fix, upscale_bicubic
from tinysr.runtime.geometry import Planes
from tinysr.runtime.rows import Rows
from tinysr.runtime.store import Store


def planes(seed: int, height: int, width: int) -> Planes:
    return np.random.default_rng(seed).random((3, height, width), dtype=np.float32)


def fixed(color: str, image: Planes, source: Planes) -> Rows:
    store = Store(*image.shape, compact=False)
    store.put(0, 0, image)
    return color_fix(color)(store, source)


@pytest.mark.parametrize("scale", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 5), (40, 33)])
def test_bicubic_is_that_of_pytorch(size: tuple[int, int], scale: int) -> None:
    image = planes(0, *size)
    expected = F.interpolate(torch.from_numpy(image)[None], scale_factor=scale, mode="bicubic")[0]
    np.testing.assert_allclose(
        upscale_bicubic(image, scale), expected.numpy(), atol=5e-6 if scale == 3 else 2e-6
    )


def test_adain_gives_the_source_its_mean_and_deviation() -> None:
    source = planes(1, 30, 41) * np.float32(0.5) + np.float32(0.2)
    image = adain(planes(2, 120, 164) ** 2, source)
    for found, expected in zip(image, source, strict=True):
        assert found.mean() == pytest.approx(expected.mean(), abs=1e-6)
        assert found.std(ddof=1) == pytest.approx(expected.std(ddof=1), rel=1e-3)


def test_adain_of_large_images_is_exact() -> None:
    """Sums of a million fp32 values lose digits unless they are centred first."""
    source = planes(3, 256, 256) * np.float32(0.01) + np.float32(0.97)
    image = planes(4, 1024, 1024) * np.float32(0.01) + np.float32(0.9)
    wide = image.astype(np.float64)
    deviations = [np.sqrt(x.var(axis=(1, 2), ddof=1) + 1e-5) for x in (source.astype(float), wide)]
    mean = source.astype(float).mean(axis=(1, 2))
    gain = (deviations[0] / deviations[1])[:, None, None]
    expected = (wide - wide.mean(axis=(1, 2))[:, None, None]) * gain + mean[:, None, None]
    np.testing.assert_allclose(adain(image, source), expected, atol=1e-6)


def test_wavelet_keeps_details_and_takes_over_a_colour_cast() -> None:
    source = planes(5, 32, 32)
    image = upscale_bicubic(source, 4)
    details = np.zeros_like(image)
    details[:, ::2] = 0.05
    details[:, 1::2] = -0.05
    cast = np.array([0.2, -0.1, 0.0], np.float32)[:, None, None]
    found = fixed("wavelet", image + details + cast, source).take(0, 128)
    np.testing.assert_allclose(found[:, 40:-40], (image + details)[:, 40:-40], atol=1e-3)


@pytest.mark.parametrize("color", COLORS)
@pytest.mark.parametrize("step", [1, 7, 64, 100])
def test_rows_taken_a_few_at_a_time_are_those_of_the_whole(color: str, step: int) -> None:
    source, image = planes(8, 40, 31), planes(9, 160, 124)
    whole = fixed(color, image, source).take(0, 160)
    rows = fixed(color, image, source)
    few = [rows.take(start, min(start + step, 160)) for start in range(0, 160, step)]
    np.testing.assert_allclose(np.concatenate(few, axis=1), whole, atol=2e-6)


def test_a_single_pixel_has_no_variance_and_no_nan() -> None:
    assert np.isfinite(adain(planes(6, 4, 4), planes(7, 1, 1))).all()


def test_unknown_fixes_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="unknown color fix 'warm'"):
        color_fix("warm")
