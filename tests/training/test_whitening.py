"""Whitened tokens: they tell the pixels of their place apart, not their colour alone."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.models import PRESETS, TinySR
from tinysr.training import initialise
from tinysr.training.whitening import as_latents, pixel_covariance, whiten_tokens

PIXELS = 48  # 4×4, RGB


@pytest.fixture(scope="module")
def untrained() -> TinySR:
    return initialise(TinySR(PRESETS["tinysr-nano"]), seed=80).requires_grad_(False)


def directions(tokens: Tensor) -> float:
    """Return in how many directions ``[N, dim]`` vary: their covariance's participation ratio."""
    values = torch.linalg.eigvalsh(torch.cov(tokens.T)).clamp(min=0)
    return float(values.sum().square() / values.square().sum())


def photo_like(seed: int) -> Tensor:
    """Return images ``[2, 3, 64, 64]`` of power 1/f²."""
    noise = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(seed))
    y, x = torch.fft.fftfreq(64)[:, None], torch.fft.fftfreq(64)[None]
    radius = torch.hypot(y, x).clamp(min=1 / 64)
    image: Tensor = torch.fft.ifft2(torch.fft.fft2(noise) / radius).real
    return (0.5 + 0.2 * image / image.std()).clamp(0, 1)


def test_latents_are_read_as_the_pixels_they_carry(untrained: TinySR) -> None:
    low = photo_like(0)
    tokens = F.conv2d(untrained.encode(low)[:, :12], as_latents(torch.eye(PIXELS)), stride=2)
    blocks = low.unfold(2, 4, 4).unfold(3, 4, 4)  # [N, channel, h, w, row, column]
    pixels = blocks.permute(4, 5, 1, 0, 2, 3).reshape(PIXELS, -1) - 0.5
    distances = torch.cdist(tokens.transpose(0, 1).reshape(PIXELS, -1), pixels)
    assert distances.argmin(1).tolist() == list(range(PIXELS))


def test_the_covariance_is_one_and_falls_with_the_distance() -> None:
    covariance = pixel_covariance()
    assert torch.equal(covariance, covariance.T)
    assert float(torch.linalg.eigvalsh(covariance)[0]) > 0
    first = covariance[0].reshape(4, 4, 3)
    assert (first[0, :-1, 0] > first[0, 1:, 0]).all()
    assert (first[:-1, 0, 0] > first[1:, 0, 0]).all()
    assert (first[..., 0] > first[..., 1]).all()


def test_pixels_that_vary_as_assumed_come_out_alike_in_all_directions() -> None:
    projection = nn.Conv2d(16, 64, 2, 2).requires_grad_(False)
    whiten_tokens(projection, torch.Generator().manual_seed(0))
    weight = projection.weight[:, :12].double().flatten(1)
    # Undo the order of the latents, not the whitening: as_latents only reorders.
    order = as_latents(torch.arange(PIXELS)[None].double()).flatten().long()
    covariance = pixel_covariance()[order][:, order]
    spread = torch.linalg.eigvalsh(weight @ covariance @ weight.T)[-PIXELS:]
    random = torch.randn(64, PIXELS, generator=torch.Generator().manual_seed(0)).double()
    expected = torch.linalg.eigvalsh(random @ random.T)[-PIXELS:]
    assert float(spread[-1] / spread[0]) < 3 * float(expected[-1] / expected[0])


def test_tokens_of_photos_vary_in_many_directions(untrained: TinySR) -> None:
    z = untrained.encode(photo_like(1))
    projection = untrained.transformer.pos_embed.proj
    whitened = projection(z).flatten(2).transpose(1, 2).reshape(-1, projection.out_channels)
    plain = nn.Conv2d(16, projection.out_channels, 2, 2).requires_grad_(False)
    plain.weight.normal_(generator=torch.Generator().manual_seed(0))
    unwhitened = plain(z).flatten(2).transpose(1, 2).reshape(-1, projection.out_channels)
    assert directions(whitened) > 3 * directions(unwhitened)
