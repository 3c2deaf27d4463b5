"""The hand-wired start: before any training the model already interpolates."""

import dataclasses

import pytest
import torch
import torch.nn.functional as F

from tinysr.errors import UnsupportedError
from tinysr.models import PRESETS, ModelConfig, TinySR
from tinysr.training import initialise

NANO = PRESETS["tinysr-nano"]
STANDARD = dataclasses.replace(
    NANO, vae=dataclasses.replace(NANO.vae, width=48, separable_encoder=False)
)


@pytest.fixture(scope="module", params=[NANO, STANDARD], ids=["separable", "standard"])
def untrained(request: pytest.FixtureRequest) -> TinySR:
    return initialise(TinySR(request.param), seed=80).requires_grad_(False)


def smooth_image(seed: int, side: int = 32) -> torch.Tensor:
    coarse = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, size=(side, side), mode="bicubic").clamp(0, 1)


def bilinear(low: torch.Tensor) -> torch.Tensor:
    return F.interpolate(low, scale_factor=4, mode="bilinear")


@pytest.mark.parametrize("seed", range(3))
def test_the_untrained_model_is_about_bilinear(untrained: TinySR, seed: int) -> None:
    low = smooth_image(seed)
    assert (untrained(low) - bilinear(low)).abs().mean() < 0.02


def test_it_tells_all_four_pixels_of_a_cell_apart(untrained: TinySR) -> None:
    # Alternating columns and rows: an average over the cell would be grey everywhere.
    low = torch.full((1, 3, 16, 16), 0.2)
    low[..., ::2, :] += 0.3
    low[..., ::2] += 0.3
    inner = (..., slice(16, -16), slice(16, -16))
    upscaled, wanted = untrained(low)[inner], bilinear(low)[inner]
    correlation = torch.corrcoef(torch.stack([upscaled.flatten(), wanted.flatten()]))[0, 1]
    assert correlation > 0.98


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_uniform_images_stay_uniform_and_borders_bright(untrained: TinySR, level: float) -> None:
    image = untrained(torch.full((1, 3, 16, 16), level))
    assert (image - level).abs().mean() < 0.02
    assert (image - level).abs().max() < 0.15


@pytest.mark.parametrize("config", [NANO, STANDARD], ids=["separable", "standard"])
def test_every_parameter_can_learn_within_two_steps(config: ModelConfig) -> None:
    model = initialise(TinySR(config), seed=80)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for _ in range(2):
        optimizer.zero_grad()
        (model(smooth_image(0)) - smooth_image(1, 128)).square().mean().backward()
        optimizer.step()
    dead = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    # The pooled embedding is all zeros: its embedder learns through its biases, and those later.
    text = "transformer.time_text_embed.text_embedder"
    assert dead <= {f"{text}.linear_1.weight", f"{text}.linear_2.weight"}


def test_a_seed_gives_the_same_start(untrained: TinySR) -> None:
    again = initialise(TinySR(untrained.config), seed=80).state_dict()
    assert all(torch.equal(again[name], value) for name, value in untrained.state_dict().items())


def test_a_layout_without_room_is_refused() -> None:
    narrow = dataclasses.replace(NANO, vae=dataclasses.replace(NANO.vae, width=16))
    with pytest.raises(UnsupportedError, match="width over 24"):
        initialise(TinySR(narrow), seed=0)


def test_hardly_a_channel_of_the_decoder_starts_dead(untrained: TinySR) -> None:
    z = untrained.encode(smooth_image(2))
    x = 3 * torch.tanh((z - untrained.predict(z)) / 3)
    for layer in list(untrained.decoder.layers)[:-1]:
        x = layer(x)
        alive = (x.abs().amax((0, 2, 3)) > 0).sum()
        assert alive >= 26
