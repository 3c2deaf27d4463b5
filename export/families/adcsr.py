"""AdcSR's baking: its blocks get a type for their own operations, its linears are laid out.

There is nothing to fold: the authors left out time and text, and all norms stay.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from tinysr.models.families.adcsr.model import AdcSR, Features, Picture

from ..model.baked import Baked
from ..model.typed import BORDER, Typed, as_type
from ..model.typed_blocks import lay_out_every_linear, type_blocks

__all__ = ["TYPED_STAGES", "bake_adcsr"]


class TypedFeatures(Typed, Features):
    """Image → features of the decoder."""

    def forward(self, image: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` in [0, 1] to ``[N, features, H/2, W/2]``."""
        cells = F.pixel_unshuffle(self.cast_input(image) * 2 - 1, self.unshuffle)
        return as_type(self.mid_block(self.net(cells)), BORDER)


class TypedPicture(Typed, Picture):
    """Features → image."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, features, h, w]`` to ``[N, 3, 8h, 8w]``, about [0, 1], unclamped."""
        for level in self.up_blocks:
            x = level(x)
        y = self.conv_out(F.silu(self.cast_input(self.conv_norm_out(x))))
        return as_type((self.cast_input(y) + 1) / 2, BORDER)


TYPED_STAGES = {Features: TypedFeatures, Picture: TypedPicture}
"""AdcSR's own classes, and the same with a type, for :func:`~..model.typed_blocks.type_blocks`."""


def bake_adcsr(model: AdcSR, tile: int) -> Baked:
    """Return a model whose parts have types, for tiles of one size.

    The eager model is left as it is, and its tensors are shared.

    Raises:
        UnsupportedError: the tile does not divide into cells, or is too small.
    """
    typed = lay_out_every_linear(type_blocks(model, TYPED_STAGES))
    baked = Baked(model.chain(tile))
    for stage in baked.chain.names:
        baked.add_module(stage, typed.get_submodule(stage))
    baked.passes = (type_blocks.__name__, lay_out_every_linear.__name__)
    return baked.eval()
