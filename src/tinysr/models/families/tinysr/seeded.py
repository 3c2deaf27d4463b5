"""Seeded weights: a stand-in where no trained ones are public.

Every random number is a scaled uniform one, which all processors round alike: the same seed gives
the same bytes everywhere. Scales keep activations near one from end to end, so that such a model
exercises every operation, and rounds like a trained one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tinysr.models.families.tinysr.config import ModelConfig
from tinysr.models.families.tinysr.model import TinySR
from tinysr.models.layers.autoencoder_tiny import ResidualBlock
from tinysr.models.layers.seeding import draw_normal, find_sd3_gains
from tinysr.models.layers.tokens import sincos_positions

__all__ = ["SEED", "seed_model"]

SEED = 80
"""The paper's seed (appendix A)."""

BRANCH_GAIN = 0.5
"""Scale of the autoencoder's residual branches: without it, deep random nets are chaotic."""

BLUR = 0.15
"""Standard deviation of a depthwise kernel around the identity."""

BIAS = 0.05
"""Standard deviation of the biases."""

LATENT = 16.0
"""Gain of the encoder's last convolution, which brings photos' latents to about 1."""

VELOCITY = 0.4
"""Gain of the last linear: v stays well under z, so that the input stays visible."""

CONTRAST = 1.5
"""Gain of the decoder's last convolution; its bias is mid-grey."""


def seed_model(config: ModelConfig, seed: int = SEED) -> TinySR:
    """Return a model in eval mode, every tensor allocated and filled once."""
    with torch.device("meta"):
        model = TinySR(config)
    model = model.to_empty(device="cpu").requires_grad_(False).eval()
    generator = torch.Generator().manual_seed(seed)
    gains = _find_gains(model)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            owner, _, kind = name.rpartition(".")
            if kind == "bias":
                _fill_uniform(tensor, BIAS, generator)
            else:
                _fill(owner, tensor, gains.get(owner, 1.0), generator)
        model.get_parameter(f"{_last_conv(model, 'decoder')}.bias").fill_(0.5)
        model.pooled.copy_(draw_normal(model.pooled.numel(), generator))
        size = config.transformer
        model.transformer.pos_embed.pos_embed.copy_(sincos_positions(size.dim, size.position_grid))
    return model


def _fill(owner: str, weight: Tensor, gain: float, generator: torch.Generator) -> None:
    if owner.endswith(".depthwise"):
        _fill_uniform(weight, BLUR, generator)
        weight[:, :, 1, 1] += 1
        return
    _fill_uniform(weight, gain / math.sqrt(weight[0].numel()), generator)
    if weight.dim() == 4 and weight.shape[1] > 3:
        # Features after a ReLU share a mean, which would drown what differs between images.
        weight -= weight.double().mean((1, 2, 3), keepdim=True).float()


def _find_gains(model: TinySR) -> dict[str, float]:
    """Return by module name the gain that its weights need; 1 where there is no entry."""
    gains = dict(find_sd3_gains(model))
    for name, module in model.named_modules():
        if isinstance(module, ResidualBlock):
            # A ReLU halves the power that the next convolution gets back.
            for layer, gain in (("0", 1.0), ("2", math.sqrt(2)), ("4", BRANCH_GAIN)):
                gains |= {f"{name}.conv.{layer}{part}": gain for part in ("", ".pointwise")}
    gains["transformer.proj_out"] = VELOCITY
    gains[_last_conv(model, "encoder")] = LATENT
    gains[_last_conv(model, "decoder")] = CONTRAST
    return gains


def _last_conv(model: TinySR, stage: str) -> str:
    """Return the name of the convolution that ends a stage."""
    modules = model.get_submodule(stage).named_modules(prefix=stage)
    last: str = [name for name, module in modules if isinstance(module, nn.Conv2d)][-1]
    return last


def _fill_uniform(tensor: Tensor, std: float, generator: torch.Generator) -> None:
    bound = std * math.sqrt(3)
    tensor.uniform_(-bound, bound, generator=generator)
