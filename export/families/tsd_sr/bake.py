"""TSD-SR's baking: time, pooled text and prompt become constants, which are folded in."""

from __future__ import annotations

from tinysr.models.families.tsd_sr import TsdSr
from tinysr.models.families.tsd_sr.chain import CELL, DECODER, ENCODER, TRANSFORMER

from ...model.baked import Baked
from ...model.typed_blocks import lay_out_every_linear, type_blocks
from .autoencoder import fold_decoder, fold_encoder
from .transformer import bake_transformer

__all__ = ["bake_tsd_sr"]


def bake_tsd_sr(model: TsdSr, tile: int) -> Baked:
    """Return a model without time, text and modulation, for tiles of one size.

    Args:
        model: an eager model, on any device, "meta" included. It is taken apart; its tensors are
            shared where nothing is folded into them.
        tile: side of the tile, in pixels of the image.

    Raises:
        UnsupportedError: the tile does not divide into tokens, or is larger than the model's
            position table.
    """
    config = model.config
    baked = Baked(model.chain(tile))
    grid = tile * baked.chain.scale // (CELL * config.transformer.patch)
    factor = config.vae.scaling_factor
    for name, stage in (
        (ENCODER, fold_encoder(type_blocks(model.encoder), factor)),
        (TRANSFORMER, bake_transformer(model, grid)),
        (DECODER, fold_decoder(type_blocks(model.decoder), factor)),
    ):
        baked.add_module(name, lay_out_every_linear(stage))
    folds = (type_blocks, fold_encoder, bake_transformer, fold_decoder, lay_out_every_linear)
    baked.passes = tuple(fold.__name__ for fold in folds)
    return baked.eval()
