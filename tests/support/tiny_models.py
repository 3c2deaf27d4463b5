"""A model with every part of TinySR, small enough to bake and export in a second."""

from __future__ import annotations

import dataclasses

import torch

from tinysr.manifest import Source
from tinysr.models import Loaded, ModelConfig, OneStepModel, TinySR, TransformerConfig, VaeConfig
from tinysr.models.checkpoints import tensors_sha256
from tinysr.models.families.tinysr.seeded import seed_model
from tinysr.models.layers.sd3 import Modulation

TILE = 16

CONFIG = ModelConfig(
    vae=VaeConfig(
        width=16, encoder_blocks=(1, 1, 1, 1), decoder_blocks=(1, 1, 1, 1), scaling_factor=0.7
    ),
    transformer=TransformerConfig(depth=2, heads=1, pooled_size=8, position_grid=8),
)

STRONG = 4.0
"""Scales, shifts and gates of about ±1.6 in place of ±0.4."""


def tiny_model(*, separable: tuple[bool, bool] = (True, False), seed: int = 7) -> TinySR:
    """Return a random model with strong modulation; ``separable`` is of encoder and decoder."""
    encoder, decoder = separable
    vae = dataclasses.replace(CONFIG.vae, separable_encoder=encoder, separable_decoder=decoder)
    model = seed_model(dataclasses.replace(CONFIG, vae=vae), seed)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, Modulation):
                module.linear.weight *= STRONG
    return model


def tiny_loaded(*, separable: tuple[bool, bool] = (True, False), seed: int = 7) -> Loaded:
    """Return the model as a checkpoint's loader would."""
    return as_loaded(tiny_model(separable=separable, seed=seed))


def as_loaded(model: OneStepModel, name: str = "tiny") -> Loaded:
    """Return a model as a checkpoint's loader would."""
    source = Source(
        kind="single-file", name=name, sha256=tensors_sha256(model.state_dict()), trained=False
    )
    return Loaded(model=model, source=source)


def explosive_model(gate: float = 2e5) -> TinySR:
    """Return a model that fp32 computes well, and fp16 not at all.

    The gates of both feed-forwards lift the residual stream far past fp16's largest value; the
    last norm brings it back.
    """
    model = tiny_model()
    with torch.no_grad():
        for block in model.transformer.blocks:
            dim = block.norm1.linear.out_features // 6
            block.norm1.linear.bias[5 * dim :] = gate
    return model


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    """Return uniform noise in [0, 1]."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def difference(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Return the largest difference, relative to the largest expected value."""
    return float((found - expected).abs().max() / expected.abs().max())
