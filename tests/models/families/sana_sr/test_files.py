"""SANA-SR as files: diffusers' folders against diffusers, and our own single file."""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support import spoiling
from tests.support.sana import Reference, save_sana_sr
from tests.support.tiny_models import difference, noise
from tests.support.tiny_sana_sr import CONFIG, tiny_sana_sr
from tinysr.errors import UnsupportedError
from tinysr.models.families.registry import detect
from tinysr.models.families.sana_sr import (
    is_folder,
    read_folder,
    read_single_file,
    save_single_file,
)
from tinysr.models.family import ReadOptions

pytestmark = pytest.mark.usefixtures("one_thread")

refused = functools.partial(spoiling.refused, by=read_folder)

BLOCK = "transformer_blocks.1"
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def saved(tmp_path: Path, request: pytest.FixtureRequest) -> Reference:
    torch.manual_seed(zlib.crc32(request.node.nodeid.encode()))
    return save_sana_sr(tmp_path)


def edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_tensors(path: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, {"format": "pt"})


@pytest.mark.parametrize("size", [(16, 24), (64, 64)])
def test_a_folder_is_diffusers_model(
    saved: Reference, tmp_path: Path, size: tuple[int, int]
) -> None:
    model = detect(tmp_path).read(tmp_path, ReadOptions()).model
    image = noise(2, 3, *size)
    assert difference(model.run_stage("encoder", image), saved.latents(image)) < 1e-5
    assert difference(model(image), saved.upscale(image)) < 1e-5


def test_pruned_blocks_are_told_by_their_tensors(saved: Reference, tmp_path: Path) -> None:
    def prune(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if name.startswith(f"{BLOCK}.ff.")]:
            halves = tensors[name].chunk(2)
            if "point" in name:
                tensors[name] = tensors[name][:, :40].clone()
            else:
                tensors[name] = torch.cat([half[:40] for half in halves])
        for layer in ("to_q", "to_k", "to_v"):
            name = f"{BLOCK}.attn1.{layer}.weight"
            tensors[name] = tensors[name][:16].clone()
        name = f"{BLOCK}.attn1.to_out.0.weight"
        tensors[name] = tensors[name][:, :16].clone()

    edit_tensors(tmp_path / "transformer" / WEIGHTS, prune)
    part = read_folder(tmp_path).config.transformer
    assert (part.heads, part.cross_heads, part.hidden) == ((2, 1), (2, 2), (80, 40))


def test_what_can_t_be_honoured_is_refused(saved: Reference, tmp_path: Path) -> None:
    assert is_folder(tmp_path)
    for file, changes, words in (
        ("transformer/config.json", {"guidance_embeds": True}, "guidance_embeds is True"),
        ("transformer/config.json", {"qk_norm": "rms_norm_across_heads"}, "qk_norm"),
        ("vae/config.json", {"downsample_block_type": "pixel_unshuffle"}, "only 'conv'"),
        ("vae/config.json", {"encoder_block_types": "EfficientViTBlock"}, "multiscales differ"),
        ("vae/config.json", {"scaling_factor": None}, "scaling_factor is None"),
        ("sana_sr.json", {"timestep": "soon"}, "timestep is 'soon'"),
        ("sana_sr.json", {"prompt": "a photo"}, "expected 'timestep' and 'step'"),
    ):
        before = (tmp_path / file).read_text()
        edit(tmp_path / file, **changes)
        refused(tmp_path, words)
        (tmp_path / file).write_text(before)
    save_file({"prompt": torch.zeros(5, 12)}, tmp_path / "prompt.safetensors")
    refused(tmp_path, "expected one tensor [1, tokens, channels]")
    save_file({"prompt": torch.zeros(1, 5, 13)}, tmp_path / "prompt.safetensors")
    refused(tmp_path, "transformer.prompt is [1, 5, 13], expected [1, 5, 12]")
    with pytest.raises(UnsupportedError, match="layers can't be chosen"):
        detect(tmp_path).read(tmp_path, ReadOptions(layers=(0,)))


def test_our_own_file_comes_back_byte_for_byte(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_single_file(tiny_sana_sr(), path)
    before = path.read_bytes()
    model = read_single_file(path)
    assert model.config == CONFIG
    save_single_file(model, path)
    assert path.read_bytes() == before
