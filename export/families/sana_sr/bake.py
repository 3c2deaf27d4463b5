"""SANA-SR's baking, stage by stage."""

from __future__ import annotations

import torch

from tinysr.models.families.sana_sr.model import SanaSR

from ...model.baked import Baked
from .autoencoder import bake_decoder, bake_encoder, fold_means, fold_repeats, join_attention
from .transformer import bake_transformer, fold_modulation, fold_prompt

__all__ = ["bake_sana_sr"]

_PASSES = (fold_modulation, fold_prompt, join_attention, fold_means, fold_repeats)


@torch.no_grad()
def bake_sana_sr(model: SanaSR, tile: int) -> Baked:
    """Return a model without time and prompt, for tiles of one size.

    The eager model is left as it is, and its tensors are shared where nothing is folded into them.

    Raises:
        UnsupportedError: the tile does not divide into tokens, or is too small.
    """
    baked = Baked(model.chain(tile))
    cells = tile * model.config.scale // model.config.cell
    baked.encoder = bake_encoder(model.encoder, cells)
    baked.transformer = bake_transformer(model.transformer, cells)
    baked.decoder = bake_decoder(model.decoder, cells)
    baked.passes = tuple(fold.__name__ for fold in _PASSES)
    return baked.requires_grad_(False).eval()
