"""TSD-SR's transformer without time, pooled text and prompt, folded block by block."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.models.families.tsd_sr import TsdSr
from tinysr.models.layers.sd3 import NORM_EPS
from tinysr.models.layers.sd3_text import TextBlock
from tinysr.models.layers.tokens import crop_centre

from ...model.baked_transformer import BakedPatchEmbed, BakedTransformer, Modulated
from ...model.linears import lay_out, modulate_inputs
from .fold import fold_image, fold_text, freeze_modulation
from .joint import JointAttention, JointBlock, JointBlocks

__all__ = ["bake_transformer"]


@torch.no_grad()
def bake_transformer(model: TsdSr, grid: int) -> BakedTransformer:
    """Return the transformer at its one time and prompt, for tiles of ``grid``² tokens.

    Given: the eager model, its LoRA merged. Its blocks are taken out one by one, so that their
    weights and the folded ones are never in memory together.
    Result: the same function of the latents.
    """
    stream, config = model.transformer, model.config.transformer
    time = torch.full((1,), model.config.timestep, device=model.pooled.device)
    conditioning = stream.time_text_embed(time, model.pooled)
    blocks = JointBlocks()
    text: Tensor | None = model.text.context_embedder(model.prompt)
    for index in range(config.depth):
        blocks.append(_take_block(model, index, conditioning, text))
        text = None
    scale, shift = freeze_modulation(stream.norm_out, conditioning)
    positions = crop_centre(stream.pos_embed.pos_embed, grid, grid).contiguous()
    return BakedTransformer(
        BakedPatchEmbed(stream.pos_embed.proj, positions),
        blocks,
        Modulated(config.dim, None, None),
        lay_out(modulate_inputs(stream.proj_out, 1 + scale, shift)),
        patch=config.patch,
        grid=grid,
    )


def _take_block(model: TsdSr, index: int, conditioning: Tensor, text: Tensor | None) -> JointBlock:
    """Fold a block, and take the eager one out of the model.

    Args:
        model: the eager model.
        index: number of the block.
        conditioning: of time and pooled text.
        text: that enters the first block; None for all others.
    """
    ours = fold_image(model.transformer.blocks[index], conditioning)
    theirs = fold_text(cast(TextBlock, model.text.transformer_blocks[index]), conditioning)
    for blocks in (model.transformer.transformer_blocks, model.text.transformer_blocks):
        blocks[index] = nn.Identity()
    if ours.out is None or ours.ff is None:
        raise TypeError("expected an image's half, which is not only read")
    read = lay_out(theirs.qkv)
    dim = theirs.qkv.in_features
    attn = JointAttention(
        lay_out(ours.qkv),
        lay_out(ours.out),
        read if text is None else read(F.layer_norm(text, (dim,), eps=NORM_EPS)),
        None if theirs.out is None else lay_out(theirs.out),
    )
    # A text that nobody reads on has no use for itself.
    return JointBlock(attn, ours.ff, theirs.ff, None if theirs.ff is None else text, dim=dim)
