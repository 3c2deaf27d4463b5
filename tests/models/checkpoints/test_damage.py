"""Damaged and hostile checkpoints: each is refused with one line that names what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.checkpoint_factory import edit_json, save_released
from tests.support.released import BASE, LORA, POOLED, VAE, WEIGHTS
from tests.support.spoiling import edit, refused
from tinysr.models import load
from tinysr.models.checkpoints.keys import MAX_LISTED

# Damaged and hostile files


def test_every_key_is_accounted_for(released: Path) -> None:
    def spoil(tensors: dict[str, Tensor]) -> None:
        del tensors["norm_out.linear.bias"]
        tensors["transformer_blocks.7.attn.to_q.weight"] = torch.zeros(2, 2)
        tensors["proj_out.bias"] = torch.zeros(3)

    edit(released / WEIGHTS, spoil)
    refused(
        released,
        "missing: transformer.norm_out.linear.bias",
        "unexpected: transformer.transformer_blocks.7.attn.to_q.weight",
        "wrong shape: transformer.proj_out.bias is [3], expected [64]",
    )


def test_long_lists_of_keys_are_cut(released: Path) -> None:
    edit(released / WEIGHTS, lambda t: t.update({f"x{i}": torch.zeros(1) for i in range(20)}))
    refused(released, f"and {20 - MAX_LISTED} more")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("file", [WEIGHTS, LORA, f"{VAE}/diffusion_pytorch_model.safetensors"])
def test_values_that_are_no_numbers_are_refused(released: Path, file: str, value: float) -> None:
    name = sorted(load_file(released / file))[3]
    edit(released / file, lambda t: t[name].view(-1)[-1:].fill_(value))
    refused(released, f"'{name}'", "NaN or infinite")


def test_integers_are_no_weights(released: Path) -> None:
    edit(released / WEIGHTS, lambda t: t.update({"proj_out.bias": torch.zeros(64).int()}))
    refused(released, "'proj_out.bias' is I32")


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated_weights_are_refused(released: Path, keep: int) -> None:
    path = released / WEIGHTS
    path.write_bytes(path.read_bytes()[:keep])
    refused(released, path.name, "not a readable safetensors file")


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    save_released(tmp_path, shards=True, positions=64)
    base = tmp_path / BASE
    shard = sorted(base.glob("*.safetensors"))[1]
    shard.unlink()
    refused(tmp_path, f"'{shard.name}' is missing")
    next(base.glob("*.index.json")).unlink()
    refused(tmp_path, f"'{shard.name}' is missing")


def test_shards_outside_the_folder_are_refused(released: Path) -> None:
    index = released / BASE / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "../../x.safetensors"}}))
    refused(released, "not a plain file name")


@pytest.mark.parametrize("text", ["{", "[1]", "[" * 100_000, "\xff"])
def test_a_config_file_that_is_not_json_is_refused(released: Path, text: str) -> None:
    (released / BASE / "config.json").write_text(text, encoding="latin-1")
    refused(released, "config.json", "JSON")


@pytest.mark.parametrize(
    ("folder", "field", "value"),
    [
        (BASE, "attention_head_dim", 32),
        (BASE, "qk_norm", "rms_norm"),
        (BASE, "dual_attention_layers", [0]),
        (BASE, "out_channels", 32),
        (BASE, "num_layers", 10**9),
        (BASE, "num_layers", None),
        (BASE, "num_layers", 4),
        (BASE, "num_attention_heads", 2),
        (BASE, "patch_size", 4),
        (BASE, "pooled_projection_dim", 64),
        (BASE, "pos_embed_max_size", 48),
        (VAE, "act_fn", "gelu"),
        (VAE, "upsample_fn", "bilinear"),
        (VAE, "upsampling_scaling_factor", 3),
        (VAE, "latent_channels", 4),
        (VAE, "encoder_block_out_channels", [8, 8, 8, 16]),
        (VAE, "decoder_block_out_channels", [16] * 4),
        (VAE, "num_encoder_blocks", [1, 3, 3]),
        (VAE, "num_decoder_blocks", "3331"),
        (VAE, "scaling_factor", "big"),
    ],
)
def test_a_config_that_the_weights_or_the_model_contradict_is_refused(
    released: Path, folder: str, field: str, value: object
) -> None:
    edit_json(released / folder / "config.json", **{field: value})
    refused(released)


@pytest.mark.parametrize("path", [LORA, POOLED, f"{BASE}/config.json", f"{VAE}/config.json"])
def test_a_missing_file_is_named(released: Path, path: str) -> None:
    (released / path).unlink()
    refused(released)


def test_every_lora_fits_its_weight(released: Path) -> None:
    path, key = released / LORA, "transformer.proj_out"
    good = load_file(path)
    pair = {f"{key}.lora_A.weight": torch.zeros(4, 64), f"{key}.lora_B.weight": torch.zeros(64, 4)}
    save_file(good | pair, path)
    load(released)
    save_file(good | pair | {f"{key}.lora_B.weight": torch.zeros(64, 5)}, path)
    refused(released, "does not fit a weight of [64, 64]")
