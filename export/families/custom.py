"""Baking of networks that somebody brings: there is nothing to fold."""

from __future__ import annotations

from torch import Tensor

from tinysr.models.families.custom import CustomModel
from tinysr.models.families.custom.model import Upscale
from tinysr.models.sharing import copy_tree

from ..model.baked import Baked
from ..model.typed import BORDER, as_type

__all__ = ["bake_custom"]


class BakedUpscale(Upscale):
    """The one stage, whose result is fp32 whatever is inside."""

    def forward(self, image: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` in [0, 1] to ``[N, 3, sH, sW]``, about [0, 1], unclamped."""
        return as_type(super().forward(image), BORDER)


def bake_custom(model: CustomModel, tile: int) -> Baked:
    """Return a network whose border has a type, for tiles of one size.

    The eager model is left as it is, and its tensors are shared.

    Raises:
        UnsupportedError: the network can't be divided into such tiles.
    """
    baked = Baked(model.chain(tile))
    (name,) = baked.chain.names
    stage = copy_tree(model.get_submodule(name))
    stage.__class__ = BakedUpscale
    baked.add_module(name, stage)
    return baked.eval()
