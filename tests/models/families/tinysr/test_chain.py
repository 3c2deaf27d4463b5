"""The halo: what is outside never matters, and what is just inside does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import nn

from tests.support.tiny_models import CONFIG, TILE, noise
from tinysr.models import TinySR, VaeConfig
from tinysr.models.families.tinysr.seeded import seed_model
from tinysr.stages import Windows

SHAPES = {
    "one block each": ((1, 1, 1, 1), (1, 1, 1, 1)),
    "lopsided": ((0, 2, 0, 1), (2, 0, 1, 0)),
    "no blocks": ((0, 0, 0, 0), (0, 0, 0, 0)),
}


@pytest.fixture(params=SHAPES, ids=lambda name: name.replace(" ", "-"))
def shape(request: pytest.FixtureRequest) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return SHAPES[request.param]


@pytest.fixture(params=[False, True], ids=["standard", "separable"])
def model(request: pytest.FixtureRequest, shape: tuple[tuple[int, ...], tuple[int, ...]]) -> TinySR:
    """Return a model whose autoencoder has random weights all over, and no dead ReLU."""
    vae = VaeConfig(
        width=4,
        latent_channels=4,
        encoder_blocks=shape[0],
        decoder_blocks=shape[1],
        separable_encoder=request.param,
        separable_decoder=request.param,
    )
    transformer = dataclasses.replace(CONFIG.transformer, latent_channels=4, depth=0)
    model = seed_model(dataclasses.replace(CONFIG, vae=vae, transformer=transformer)).double()
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            # All positive, so that every path through a ReLU stays open.
            if not name.startswith("transformer"):
                fan_in = tensor[0].numel() if tensor.dim() > 1 else 10
                tensor.copy_((0.5 + torch.rand(tensor.shape, generator=generator)) / fan_in)
    return model


def depends(
    function: Callable[[torch.Tensor], torch.Tensor], image: torch.Tensor, mask: torch.Tensor
) -> bool:
    """Say whether the middle of the output changes by a bit when the masked input does."""
    with torch.no_grad():
        middle, other = (_middle(function(x)) for x in (image, image + mask))
    return not torch.equal(middle, other)


def _middle(output: torch.Tensor) -> torch.Tensor:
    """Return what a tile of a third of the side gives."""
    third = output.shape[2] // 3
    return output[:, :, third : 2 * third, third : 2 * third]


def distance(tile: int) -> torch.Tensor:
    """Return how far each row is from the middle one of three tiles; zero inside it."""
    row = torch.arange(3 * tile)
    return torch.maximum(tile - row, row - (2 * tile - 1)).clamp(min=0)


def the_halo_is_exact(
    function: Callable[[torch.Tensor], torch.Tensor], channels: int, tile: int, margin: int
) -> None:
    assert margin + 1 < tile, "the test's own image is too small"
    rows, columns = distance(tile)[:, None], distance(tile)[None, :]
    image = noise(1, channels, 3 * tile, 3 * tile).double()
    assert not depends(function, image, torch.maximum(rows, columns) > margin)
    assert depends(function, image, torch.maximum(rows, columns) == margin)
    assert depends(function, image, (rows == margin) & (columns == 0))
    assert depends(function, image, (columns == margin) & (rows == 0))


def find_halo(model: TinySR, stage: str) -> int:
    """Return a stage's halo, in latent pixels."""
    division = model.chain(TILE).stage(stage).division
    assert isinstance(division, Windows)
    return division.halo


def test_the_encoder_reads_its_halo_and_no_more(model: TinySR) -> None:
    margin = read_pixels(model)
    the_halo_is_exact(model.encode, 3, 4 * ((margin + 5) // 4), margin)
    assert find_halo(model, "encoder") == -(-margin // 2)


def read_pixels(model: TinySR) -> int:
    """Return the pixels around a window that the encoder reads, by trying."""
    side = 48
    image = noise(1, 3, 3 * side, 3 * side).double()
    distances = torch.maximum(distance(side)[:, None], distance(side)[None, :])
    return max(d for d in range(1, side) if depends(model.encode, image, distances == d))


def test_the_decoder_reads_its_halo_and_no_more(model: TinySR) -> None:
    margin = find_halo(model, "decoder")
    the_halo_is_exact(model.decode, 4, margin + 2, margin)


def test_an_unknown_layer_has_no_halo(model: TinySR) -> None:
    model.encoder.layers.append(nn.AdaptiveAvgPool2d(1))
    with pytest.raises(TypeError, match="reach of a AdaptiveAvgPool2d"):
        model.chain(TILE)
