"""The packaged weights: what each preset promises, on photos and on flat tiles."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from tinysr.models import PRESETS, UNTRAINED, TinySR, load
from tinysr.training.evaluate import (
    PhotoPair,
    Upscale,
    mean_psnr,
    photo_pairs,
    upscale_array,
    upscale_bicubic,
)

TRAINED = sorted(set(PRESETS) - UNTRAINED)


@pytest.fixture(scope="module")
def pairs() -> list[PhotoPair]:
    """Return the photos' upper left corners, 128² when enlarged."""
    return [
        dataclasses.replace(pair, low=pair.low[:32, :32], high=pair.high[:128, :128])
        for pair in photo_pairs(["astronaut", "camera"])
    ]


@pytest.fixture(scope="module", params=TRAINED)
def trained(request: pytest.FixtureRequest) -> TinySR:
    return load(request.param)


def roughness(upscale: Upscale, pairs: list[PhotoPair]) -> float:
    """Return the mean difference of neighbouring pixels, in [0, 1]."""
    images = [torch.from_numpy(upscale_array(upscale, pair.low)) for pair in pairs]
    return float(torch.stack([image.diff(dim=1).abs().mean() for image in images]).mean())


def test_the_faithful_weights_are_nearer_to_the_original_than_bicubic(
    pairs: list[PhotoPair],
) -> None:
    assert mean_psnr(load("tinysr-nano"), pairs) > mean_psnr(upscale_bicubic, pairs) + 0.2


def test_the_natural_weights_draw_texture_at_no_great_loss(pairs: list[PhotoPair]) -> None:
    natural, faithful = load("tinysr-nano-natural"), load("tinysr-nano")
    assert mean_psnr(natural, pairs) > mean_psnr(upscale_bicubic, pairs) - 0.5
    assert roughness(natural, pairs) > 1.1 * roughness(faithful, pairs)


@pytest.mark.parametrize("level", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_greys_have_no_cast_and_no_grid(trained: TinySR, level: float) -> None:
    with torch.no_grad():
        image = trained(torch.full((1, 3, 32, 32), level)).clamp(0, 1)[..., 16:-16, 16:-16]
    means = image.mean((2, 3))
    cast, grid = means.max() - means.min(), (image.amax((2, 3)) - image.amin((2, 3))).max()
    assert cast < 2 / 255
    assert grid < 2.5 / 255
    assert (image - level).abs().max() < 4 / 255
