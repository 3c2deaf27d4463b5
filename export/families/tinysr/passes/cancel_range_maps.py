"""Drop the maps between [0, 1] and [-1, 1], which undo one another."""

from __future__ import annotations

from tinysr.models.sharing import copy_tree

from ....model.rewrite import require_constant
from ..baked import BakedTinySR

__all__ = ["cancel_range_maps"]


def cancel_range_maps(model: BakedTinySR) -> BakedTinySR:
    """((2x - 1) + 1) / 2 = x; the resize before it is linear and keeps constants.

    Given: an encoder and a decoder that map to [-1, 1] and back.
    Result: the same function, without the maps.
    """
    model = copy_tree(model)
    require_constant(model.encoder.range_map)
    require_constant(model.decoder.range_map)
    model.encoder.range_map = model.decoder.range_map = None
    return model
