"""Initial weights that already are a bilinear ×4 upscaler.

PyTorch's default initialisation of this network does not learn in hours on a CPU. So some channels
are wired by hand to carry the low-resolution image (see :mod:`tinysr.training.wiring`), and all
others start as He features on quiet branches. Training only ever improves on the bilinear image.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import cast

import torch
from torch import nn

from tinysr.errors import UnsupportedError
from tinysr.models import ModelConfig, TinySR
from tinysr.models.layers.autoencoder_tiny import ResidualBlock, SeparableConv
from tinysr.models.layers.sd3 import Block, Transformer
from tinysr.training.whitening import whiten_tokens
from tinysr.training.wiring import LATENTS, WIRED, wire_decoder, wire_encoder, wire_pattern

__all__ = ["initialise", "initialise_autoencoder"]

_QUIET = 0.1
"""Scale of a residual branch's last layer, and of the modulation."""

_WHISPER = 2e-4
"""Deviation of ``proj_out``'s weights: v starts at a hundredth of what the latents vary by."""

_DEPTHWISE_NOISE = 0.1
"""Deviation of a depthwise kernel around the identity."""


def initialise(model: TinySR, seed: int) -> TinySR:
    """Set every parameter of ``model`` in place and return it.

    Raises:
        UnsupportedError: the model's layout has no room for the wiring.
    """
    generator = initialise_autoencoder(model, seed)
    with torch.no_grad():
        _fill_transformer(model.transformer, generator)
        wire_pattern(model.transformer.proj_out.bias.view(2, 2, -1))
    return model


def initialise_autoencoder(model: TinySR, seed: int) -> torch.Generator:
    """Set every parameter of the encoder and decoder in place; return what draws the others.

    Raises:
        UnsupportedError: the model's layout has no room for the wiring.
    """
    _check(model.config)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for autoencoder in (model.encoder, model.decoder):
            _fill_he(autoencoder, generator)
        wire_encoder(model.encoder)
        wire_decoder(model.decoder)
    return generator


def _check(config: ModelConfig) -> None:
    vae = config.vae
    fits = (
        vae.width > WIRED
        and vae.latent_channels >= LATENTS
        and vae.downscale == 8
        and config.transformer.patch == 2
        and not vae.separable_decoder
        and vae.scaling_factor == 1
        and min(vae.decoder_blocks) > 0
    )
    if not fits:
        raise UnsupportedError(
            "the initialisation needs a standard decoder, a width over "
            f"{WIRED}, {LATENTS} latent channels or more and a downscale of 8: found {vae}"
        )


def _fill_he(autoencoder: nn.Module, generator: torch.Generator) -> None:
    """He features everywhere, depthwise kernels near the identity, residual branches quiet."""
    for conv in _convs(autoencoder):
        weight = conv.weight
        if weight[0].numel() == 9:
            weight.normal_(0, _DEPTHWISE_NOISE, generator=generator)
            weight[:, :, 1, 1] += 1
        else:
            weight.normal_(0, math.sqrt(2 / weight[0].numel()), generator=generator)
        if conv.bias is not None:
            conv.bias.zero_()
    for block in autoencoder.modules():
        if isinstance(block, ResidualBlock):
            last = block.conv[4]
            conv = last.pointwise if isinstance(last, SeparableConv) else cast(nn.Conv2d, last)
            conv.weight.mul_(_QUIET)


def _convs(module: nn.Module) -> Iterator[nn.Conv2d]:
    return (conv for conv in module.modules() if isinstance(conv, nn.Conv2d))


def _fill_transformer(transformer: Transformer, generator: torch.Generator) -> None:
    """Open gates, hardly any modulation, quiet branches, and a small prediction."""
    for module in transformer.modules():
        if isinstance(module, nn.Linear):
            module.weight.normal_(0, module.in_features**-0.5, generator=generator)
            module.bias.zero_()
    whiten_tokens(transformer.pos_embed.proj, generator)
    transformer.time_text_embed.timestep_embedder.linear_2.weight.mul_(_QUIET)
    blocks = [cast(Block, block) for block in transformer.transformer_blocks]
    for block in blocks:
        _fill_block(block, branch=1 / math.sqrt(2 * len(blocks)))
    transformer.norm_out.linear.weight.mul_(_QUIET)
    # Not zero, or no gradient passes through to the blocks.
    transformer.proj_out.weight.normal_(0, _WHISPER, generator=generator)


def _fill_block(block: Block, *, branch: float) -> None:
    cast(nn.Linear, block.attn.to_out[0]).weight.mul_(branch)
    cast(nn.Linear, block.ff.net[2]).weight.mul_(branch)
    block.norm1.linear.weight.mul_(_QUIET)
    # shift, scale, gate of attention, then of the feed-forward: a gate of 1 lets all through.
    gates = block.norm1.linear.bias.view(6, -1)
    gates[2], gates[5] = 1, 1
