"""Seeded weights of SANA-SR at any config."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from tinysr.models.families.sana_sr.config import SanaSrConfig
from tinysr.models.families.sana_sr.model import SanaSR
from tinysr.models.layers.autoencoder_dc import DcResBlock, Lower, MultiscaleAttention, Raise
from tinysr.models.layers.glumb import ChannelNorm, GluMbConv
from tinysr.models.layers.linear_attention import CrossAttention, LinearAttention, SanaBlock
from tinysr.models.layers.seeding import AFTER_SILU, seed_layers

__all__ = ["SEED", "seed_sana_sr"]

SEED = 80

_BRANCH = 0.3
"""Size of what a residual branch adds, for those of the autoencoder end in a norm."""

_BESIDE = 0.3
"""Size of what a convolution adds to a shortcut that is as large as what it reads."""

_CONTRAST = 0.5
"""Deviation of the result in [-1, 1], around mid-grey."""

_AFTER_GATE = AFTER_SILU
"""Gain of what reads values that a SiLU gates."""

_AFTER_MEANS = 1.5
"""Gain of what reads the weighed means of many places."""

_CHANGE = 0.3
"""Size of what the step changes, for latents near one."""


def seed_sana_sr(config: SanaSrConfig, seed: int = SEED) -> SanaSR:
    """Return a model in eval mode, every tensor allocated and filled once."""
    with torch.device("meta"):
        model = SanaSR(config)
    model = model.to_empty(device="cpu").requires_grad_(False).eval()
    generator = torch.Generator().manual_seed(seed)
    seed_layers(model, generator, dict(_find_gains(model)))
    for module in model.modules():
        if isinstance(module, SanaBlock):
            module.scale_shift_table[2::3] += 1  # gates, or every branch would be nearly shut
    bound = math.sqrt(3)
    model.transformer.prompt.uniform_(-bound, bound, generator=generator)
    for half in (model.encoder.net, model.decoder.net):
        for part in half.modules():
            if isinstance(part, DcResBlock | MultiscaleAttention | GluMbConv):
                for norm in part.children():
                    if isinstance(norm, ChannelNorm):
                        norm.weight.mul_(_BRANCH)
    return model


def _find_gains(model: SanaSR) -> Iterator[tuple[str, float]]:
    """Yield the names of the modules whose weights need another gain than one, and the gain."""
    yield "transformer.net.proj_out", _CHANGE
    yield "decoder.net.conv_out", _CONTRAST * math.sqrt(2)
    yield "encoder.net.conv_out", _BESIDE
    yield "decoder.net.conv_in", _BESIDE
    for name, module in model.named_modules():
        if isinstance(module, Lower | Raise):
            yield f"{name}.conv", _BESIDE
        elif isinstance(module, GluMbConv):
            yield f"{name}.conv_depth", AFTER_SILU
            yield f"{name}.conv_point", _AFTER_GATE
        elif isinstance(module, DcResBlock):
            yield f"{name}.conv2", AFTER_SILU
        elif isinstance(module, LinearAttention | CrossAttention):
            yield f"{name}.to_out.0", _AFTER_MEANS
