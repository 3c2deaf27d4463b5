"""Seeded weights: a stand-in where no trained ones are public.

Every random number is a scaled uniform one, which all processors round alike: the same seed gives
the same bytes everywhere. Scales keep activations near one from end to end, so that such a model
exercises every operation, and rounds like a trained one.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tinysr.models.config import ModelConfig
from tinysr.models.tinysr import TinySR
from tinysr.models.transformer import Attention, FeedForward, Modulation, sincos_positions
from tinysr.models.vae import ResidualBlock

__all__ = ["SEED", "seeded"]

SEED = 80
"""The paper's seed (appendix A)."""

BRANCH_GAIN = 0.5
"""What a residual branch of the autoencoder is scaled by: deep random nets would else be chaotic."""

BIAS = 0.05
MODULATION = 0.3
"""Standard deviations of the biases, and of the scales, shifts and gates."""

VELOCITY = 0.4
"""Standard deviation of v: well under that of z, so that the input stays visible."""

CONTRAST = 0.5
"""Gain of the last convolution; its bias is mid-grey."""


def seeded(config: ModelConfig, seed: int = SEED) -> TinySR:
    """Return a model in eval mode, every tensor allocated and filled once."""
    with torch.device("meta"):
        model = TinySR(config)
    model = model.to_empty(device="cpu").requires_grad_(False).eval()
    generator = torch.Generator().manual_seed(seed)
    gains = _gains(model)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            owner, _, kind = name.rpartition(".")
            if kind == "bias":
                _uniform(tensor, BIAS, generator)
            else:
                fan_in = tensor[0].numel()
                _uniform(tensor, gains.get(owner, 1.0) / math.sqrt(fan_in), generator)
        _last_conv(model)[1].fill_(0.5)
        model.pooled.copy_(_normal(model.pooled.numel(), generator))
        size = config.transformer
        model.transformer.pos_embed.pos_embed.copy_(sincos_positions(size.dim, size.position_grid))
    return model


def _gains(model: TinySR) -> dict[str, float]:
    """Return by module name the gain that its weights need; 1 where there is no entry."""
    gains: dict[str, float] = {}
    for name, module in model.named_modules():
        if isinstance(module, ResidualBlock):
            # A ReLU halves the power that the next convolution gets back.
            for layer, gain in (("0", 1.0), ("2", math.sqrt(2)), ("4", BRANCH_GAIN)):
                gains |= {f"{name}.conv.{layer}{part}": gain for part in ("", ".pointwise")}
        elif isinstance(module, Modulation):
            gains[f"{name}.linear"] = MODULATION / 0.6  # silu leaves 0.6 of a unit normal's size
        elif isinstance(module, Attention):
            gains[f"{name}.to_out.0"] = 2.0  # the softmax averages the values of many tokens
        elif isinstance(module, FeedForward):
            gains[f"{name}.net.2"] = 2.0  # GELU leaves 0.65 of a unit normal's size
    gains["transformer.proj_out"] = VELOCITY
    gains[_last_conv(model)[0]] = CONTRAST
    return gains


def _last_conv(model: TinySR) -> tuple[str, Tensor]:
    """Return the name and the bias of the convolution that makes the image."""
    convs = [(n, m) for n, m in model.decoder.named_modules() if isinstance(m, nn.Conv2d)]
    name, conv = convs[-1]
    assert conv.bias is not None  # noqa: S101
    return f"decoder.{name}", conv.bias


def _uniform(tensor: Tensor, std: float, generator: torch.Generator) -> None:
    bound = std * math.sqrt(3)
    tensor.uniform_(-bound, bound, generator=generator)


def _normal(count: int, generator: torch.Generator) -> Tensor:
    """Return ``count`` nearly normal numbers: sums of 12 uniform ones, exact in float64."""
    return torch.rand(12, count, generator=generator).double().sum(0) - 6
