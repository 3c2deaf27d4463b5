"""SANA-SR's parts by diffusers' own classes, at the sizes of the tiny model, as they save them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderDC, SanaTransformer2DModel
from safetensors.torch import save_file
from torch import Tensor

from tests.support.checkpoint_factory import randomise
from tests.support.tiny_sana_sr import CONFIG, HALF

TIME, STEP = 400.0, -1.0


@dataclass
class Reference:
    """The independent model."""

    vae: AutoencoderDC
    transformer: SanaTransformer2DModel
    prompt: Tensor

    def latents(self, image: Tensor) -> Tensor:
        large = F.interpolate(image, scale_factor=4, mode="bicubic")
        z: Tensor = self.vae.encode(large * 2 - 1, return_dict=False)[0]
        return z * float(self.vae.config.scaling_factor)

    def upscale(self, image: Tensor) -> Tensor:
        z = self.latents(image)
        text = self.prompt.expand(len(z), -1, -1)
        v = self.transformer(z, text, torch.full((len(z),), TIME), return_dict=False)[0]
        restored = (z + STEP * v) / self.vae.config.scaling_factor
        result: Tensor = self.vae.decode(restored, return_dict=False)[0]
        return result / 2 + 0.5


def make_vae() -> AutoencoderDC:
    """Return a small autoencoder of Sana's kind, all weights random."""
    levels, attended = len(HALF.widths), HALF.attended
    kinds = ("ResBlock",) * attended + ("EfficientViTBlock",) * (levels - attended)
    scales = ((),) * attended + (HALF.kernels,) * (levels - attended)
    options: dict[str, Any] = {}
    for half in ("encoder", "decoder"):
        options |= {
            f"{half}_block_types": kinds,
            f"{half}_block_out_channels": HALF.widths,
            f"{half}_layers_per_block": HALF.blocks,
            f"{half}_qkv_multiscales": scales,
        }
    vae = AutoencoderDC(
        latent_channels=HALF.latent_channels,
        attention_head_dim=HALF.head_size,
        downsample_block_type="conv",
        upsample_block_type="interpolate",
        scaling_factor=CONFIG.scaling_factor,
        **options,
    )
    return randomise(vae.eval().requires_grad_(False))


def make_transformer(**options: Any) -> SanaTransformer2DModel:
    """Return a small transformer of Sana's kind, all weights random."""
    part = CONFIG.transformer
    known: dict[str, Any] = {
        "in_channels": part.channels,
        "out_channels": part.channels,
        "num_attention_heads": part.dim // part.head_size,
        "attention_head_dim": part.head_size,
        "num_layers": 2,
        "num_cross_attention_heads": 2,
        "cross_attention_head_dim": part.cross_head_size,
        "cross_attention_dim": part.dim,
        "caption_channels": part.caption,
        "sample_size": 8,
    }
    transformer = SanaTransformer2DModel(**known | options).eval().requires_grad_(False)
    return randomise(transformer)


def save_sana_sr(root: Path) -> Reference:
    """Save a random model as a folder of diffusers' parts, and return it."""
    transformer = make_transformer(cross_attention_dim=CONFIG.transformer.dim)
    reference = Reference(make_vae(), transformer, torch.randn(1, 5, CONFIG.transformer.caption))
    reference.vae.save_pretrained(root / "vae")
    transformer.save_pretrained(root / "transformer")
    save_file({"prompt": reference.prompt}, root / "prompt.safetensors")
    (root / "sana_sr.json").write_text(json.dumps({"timestep": TIME, "step": STEP}))
    return reference
