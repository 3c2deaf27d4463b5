"""Make the ×4 bicubic resize a fixed convolution."""

from __future__ import annotations

from tinysr.models.sharing import copy_tree

from ....model.resize import FixedResize
from ..baked import BakedTinySR, InterpolatedResize

__all__ = ["fix_resize"]


def fix_resize(model: BakedTinySR) -> BakedTinySR:
    """Replace the resize.

    Given: an encoder that calls PyTorch's bicubic interpolation.
    Result: the same function, borders included, of operations that every target has.
    """
    model = copy_tree(model)
    if not isinstance(model.encoder.resize, InterpolatedResize):
        raise TypeError("the resize is fixed already: the pass ran twice")
    model.encoder.resize = FixedResize()
    return model
