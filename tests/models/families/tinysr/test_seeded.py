"""Seeded weights: the same everywhere, and worth running."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tinysr.models import PRESETS, ModelConfig, TinySR, TransformerConfig
from tinysr.models.checkpoints import tensors_sha256
from tinysr.models.families.tinysr.seeded import seed_model

# The paper's widths with one of its twelve blocks, and the small preset.
CONFIGS: dict[str, ModelConfig] = {
    "wide": replace(PRESETS["tinysr"], transformer=TransformerConfig(depth=1)),
    "nano": PRESETS["tinysr-nano"],
}


@cache
def model_of(name: str) -> TinySR:
    return seed_model(CONFIGS[name])


def photo(seed: int, side: int = 48) -> Tensor:
    """Return an image with a photo's 1/f spectrum, ``[1, 3, side, side]``."""
    generator = torch.Generator().manual_seed(seed)
    image = torch.zeros(1, 3, side, side)
    for size in (2, 4, 8, 16, 32):
        noise = torch.randn(1, 3, size, size, generator=generator) / size**0.5
        image += F.interpolate(noise, size=(side, side), mode="bicubic")
    return (image / image.std() * 0.2 + 0.5).clamp(0, 1)


def test_the_same_seed_gives_the_same_bytes() -> None:
    nano = CONFIGS["nano"]
    digests = {tensors_sha256(seed_model(nano, seed).state_dict()) for seed in (80, 80, 81)}
    assert len(digests) == 2


@pytest.mark.parametrize("name", CONFIGS)
def test_no_tensor_is_left_unfilled(name: str) -> None:
    for key, tensor in model_of(name).state_dict().items():
        assert torch.isfinite(tensor).all(), key
        assert 1e-3 < tensor.abs().max() < 10, key


@torch.no_grad()
@pytest.mark.parametrize("name", CONFIGS)
def test_the_image_varies_visibly_with_the_input(name: str) -> None:
    one, two = (model_of(name)(photo(seed)) for seed in (1, 2))
    assert 0.1 < one.std() < 0.35
    assert 0.3 < one.mean() < 0.7
    assert (one - two).std() > 0.1


@torch.no_grad()
@pytest.mark.parametrize("name", CONFIGS)
def test_modulation_is_far_from_the_identity(name: str) -> None:
    model = model_of(name)
    net = model.transformer
    conditioning = net.time_text_embed(torch.tensor([model.config.timestep]), model.pooled)
    modules = [*(block.get_submodule("norm1") for block in net.transformer_blocks), net.norm_out]
    for module in modules:
        for vector in module(conditioning):
            assert 0.2 < vector.std() < 0.7


@torch.no_grad()
def test_activations_neither_vanish_nor_explode() -> None:
    model = model_of("wide")
    z = model.encode(photo(1))
    v = model.predict(z)
    assert 0.5 < z.std(dim=(2, 3)).mean() < 2
    assert 0.2 < v.std() < 1
