"""Areas with their halo give what the whole image gives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tinysr.runtime.areas import count_areas, run_areas
from tinysr.runtime.session import Array

KERNEL = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 2, 3, 3), np.float32))


def shrinking(array: Array) -> Array:
    """Two 3×3 convolutions with zero padding, the second of stride 2: a halo of 2."""
    x = F.conv2d(torch.from_numpy(array), KERNEL, padding=1)
    return F.conv2d(x, KERNEL, padding=1, stride=2).numpy()


def growing(array: Array) -> Array:
    """A convolution, nearest ×2, another one: a halo of 2."""
    x = F.conv2d(torch.from_numpy(array), KERNEL, padding=1)
    return F.conv2d(F.interpolate(x, scale_factor=2.0), KERNEL, padding=1).numpy()


@pytest.mark.parametrize("size", [(16, 16), (20, 16), (48, 36), (16, 100)])
def test_areas_give_what_the_whole_gives(size: tuple[int, int]) -> None:
    image = np.random.default_rng(1).standard_normal((1, 2, *size), np.float32)
    done: list[int] = []
    small = run_areas(image, shrinking, side=16, halo=2, resized=lambda n: n // 2, done=done.append)
    large = run_areas(image, growing, side=16, halo=2, resized=lambda n: n * 2)
    np.testing.assert_allclose(small, shrinking(image), atol=1e-5)
    np.testing.assert_allclose(large, growing(image), atol=1e-5)
    assert sum(done) == count_areas(*size, 16)


def test_images_up_to_an_area_are_run_whole() -> None:
    assert count_areas(16, 16, 16) == count_areas(4, 64, 16) == 1
    assert count_areas(20, 16, 16) == 2
    image = np.zeros((1, 2, 8, 8), np.float32)
    assert run_areas(image, lambda x: x, side=16, halo=2, resized=lambda n: n) is image
