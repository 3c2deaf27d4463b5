"""Our loader and forward against diffusers' own, on small random models."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.support.checkpoint_factory import Reference, make_transformer, make_vae, save_released
from tinysr.models import TinySR, load, load_checkpoint
from tinysr.models.layers.tokens import crop_centre, sincos_positions, time_embedding

TOLERANCE = 1e-5  # relative to the largest value
LATENTS = [(64, 64), (16, 16), (8, 24), (38, 10)]


@pytest.fixture(autouse=True)
def _seed(request: pytest.FixtureRequest) -> None:
    torch.manual_seed(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> tuple[TinySR, Reference]:
    torch.manual_seed(80)
    root = tmp_path_factory.mktemp("released")
    reference = save_released(root)
    return load(root), reference


def assert_equal(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    difference = (found - expected).abs().max() / expected.abs().max()
    assert difference <= TOLERANCE


@pytest.mark.parametrize("size", LATENTS)
def test_the_transformer_is_diffusers_image_stream(
    released: tuple[TinySR, Reference], size: tuple[int, int]
) -> None:
    model, reference = released
    z = torch.randn(2, 16, *size)
    assert_equal(model.predict(z), reference.velocity(z))


@pytest.mark.parametrize("size", LATENTS)
def test_the_autoencoder_is_diffusers_tiny_one(
    released: tuple[TinySR, Reference], size: tuple[int, int]
) -> None:
    model, reference = released
    rows, columns = size
    image, z = torch.rand(1, 3, 8 * rows, 8 * columns) * 2 - 1, torch.randn(1, 16, *size)
    assert_equal(model.encoder(image), reference.vae.encode(image).latents)
    assert_equal(model.decoder(z), reference.vae.decode(z).sample)


@pytest.mark.parametrize("encoder", ["standard", "separable"])
@pytest.mark.parametrize("decoder", ["standard", "separable"])
def test_an_image_is_upscaled_alike_whatever_convolutions_there_are(
    tmp_path: Path, encoder: str, decoder: str
) -> None:
    reference = save_released(tmp_path, encoder=encoder, decoder=decoder)
    model = load(tmp_path)
    assert model.config.vae.separable_encoder is (encoder == "separable")
    assert model.config.vae.separable_decoder is (decoder == "separable")
    assert model.config.vae.scaling_factor == 0.7
    for size in ((16, 16), (8, 20)):
        lr = torch.rand(1, 3, *size)
        assert_equal(model(lr), reference.upscale(lr))


def test_the_position_table_is_sd3s(released: tuple[TinySR, Reference]) -> None:
    model, reference = released
    table = reference.transformer.pos_embed.pos_embed  # [1, 192², dim]
    assert_equal(model.transformer.pos_embed.pos_embed, crop_centre(table, 64, 64))
    assert_equal(sincos_positions(table.shape[2], 192), table)
    assert_equal(sincos_positions(table.shape[2], 64), crop_centre(table, 64, 64))


@pytest.mark.parametrize("size", [(64, 64), (32, 32), (12, 46)])
def test_positions_are_cropped_as_diffusers_does(
    released: tuple[TinySR, Reference], size: tuple[int, int]
) -> None:
    model, reference = released
    rows, columns = size
    theirs = reference.transformer.pos_embed.cropped_pos_embed(2 * rows, 2 * columns)
    assert_equal(crop_centre(model.transformer.pos_embed.pos_embed, rows, columns), theirs)


def test_the_time_embedding_is_diffusers(released: tuple[TinySR, Reference]) -> None:
    model, reference = released
    embed = reference.transformer.time_text_embed
    time, pooled = torch.tensor([1000.0, 3.0]), torch.randn(2, 48)
    assert_equal(time_embedding(time, 256), embed.time_proj(time))
    assert_equal(model.transformer.time_text_embed(time, pooled), embed(time, pooled))


def test_shards_are_joined(tmp_path: Path) -> None:
    reference = save_released(tmp_path, shards=True)
    base = tmp_path / "checkpoint/tinybackbone/prune-3-merge/transformer"
    assert len(list(base.glob("*.safetensors"))) > 2
    z = torch.randn(1, 16, 8, 8)
    assert_equal(load(tmp_path).predict(z), reference.velocity(z))
    next(base.glob("*.index.json")).unlink()
    assert_equal(load(tmp_path / "checkpoint").predict(z), reference.velocity(z))


def test_layers_of_a_full_sd3_are_chosen(tmp_path: Path) -> None:
    full, vae = make_transformer(layers=5), make_vae()
    full.save_pretrained(tmp_path / "transformer")
    vae.save_pretrained(tmp_path / "vae")
    pooled = torch.randn(1, 48)
    torch.save(pooled, tmp_path / "pool_embeds.pt")
    kept = (0, 2, 4)
    pruned = make_transformer(layers=3)
    blocks = {
        f"transformer_blocks.{new}.": f"transformer_blocks.{old}." for new, old in enumerate(kept)
    }
    for name, parameter in pruned.named_parameters():
        prefix = next((block for block in blocks if name.startswith(block)), "")
        source = full.get_parameter(name.replace(prefix, blocks.get(prefix, ""), 1))
        if "context" not in name:  # the last block's text half has another shape
            parameter.copy_(source)
    z = torch.randn(1, 16, 8, 12)
    loaded = load_checkpoint(tmp_path, layers=kept)
    assert loaded.source.kind == "sd3"
    assert_equal(loaded.tinysr.predict(z), Reference(pruned, vae, pooled).velocity(z))
    whole = load(tmp_path)
    assert whole.config.transformer.depth == 5
    assert_equal(whole.predict(z), Reference(full, vae, pooled).velocity(z))
