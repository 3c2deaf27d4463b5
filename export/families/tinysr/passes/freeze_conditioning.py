"""Compute every modulation vector once, and drop the modules that made them."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from tinysr.models import SCALE, TinySR
from tinysr.models.layers.sd3 import Block, GeluProjection, Modulation
from tinysr.models.layers.tokens import crop_centre

from ....model.baked_transformer import (
    BakedBlock,
    BakedFeedForward,
    BakedPatchEmbed,
    BakedTransformer,
    Modulated,
    SplitAttention,
)
from ..baked import BakedDecoder, BakedEncoder, BakedTinySR, InterpolatedResize

__all__ = ["freeze_conditioning"]


@torch.no_grad()
def freeze_conditioning(model: TinySR, tile: int) -> BakedTinySR:
    """Return the model at its one time and pooled text (paper section 3.2).

    Given: an eager model, its LoRA merged.
    Result: the same function of the image for tiles of ``tile`` low-resolution pixels; the time,
    text and adaLN modules are gone, their vectors are constants in fp32.
    """
    config, stream = model.config, model.transformer
    grid = tile * SCALE // config.vae.downscale // config.transformer.patch
    time = torch.full((1,), config.timestep, device=model.pooled.device)
    conditioning = stream.time_text_embed(time, model.pooled)
    scale, shift = _compute_constants(stream.norm_out, conditioning)
    transformer = BakedTransformer(
        BakedPatchEmbed(
            stream.pos_embed.proj, crop_centre(stream.pos_embed.pos_embed, grid, grid).contiguous()
        ),
        nn.Sequential(*(_freeze_block(block, conditioning) for block in stream.blocks)),
        Modulated(config.transformer.dim, 1 + scale, shift),
        stream.proj_out,
        patch=config.transformer.patch,
        grid=grid,
    )
    factor = config.vae.scaling_factor
    return BakedTinySR(
        model.chain(tile),
        BakedEncoder(InterpolatedResize(), model.encoder.layers, gain=factor),
        transformer,
        BakedDecoder(model.decoder.layers, gain=factor),
    ).eval()


def _freeze_block(block: Block, conditioning: Tensor) -> BakedBlock:
    vectors = _compute_constants(block.norm1, conditioning)
    shift_attn, scale_attn, gate_attn, shift_ff, scale_ff, gate_ff = vectors
    dim = gate_attn.shape[0]
    attn, net = block.attn, block.ff.net
    return BakedBlock(
        Modulated(dim, 1 + scale_attn, shift_attn),
        SplitAttention(attn.to_q, attn.to_k, attn.to_v, cast("nn.Linear", attn.to_out[0])),
        Modulated(dim, 1 + scale_ff, shift_ff),
        BakedFeedForward(cast("GeluProjection", net[0]).proj, cast("nn.Linear", net[2])),
        (gate_attn, gate_ff),
    )


def _compute_constants(modulation: Modulation, conditioning: Tensor) -> list[Tensor]:
    """Return the modulation's vectors, ``[dim]`` each."""
    return [vector.flatten().clone() for vector in modulation(conditioning)]
