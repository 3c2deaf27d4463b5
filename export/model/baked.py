"""A model baked: stages that run one after the other, with nothing but the image as input.

The module tree mirrors the eager model's, so that a value in an exported graph can be named
after the module that made it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tinysr.chain import Chain
from tinysr.enlarging import prepare_image

__all__ = ["Baked", "make_batch"]


class Baked(nn.Module):
    """A whole model without conditions; only the image is left as its input.

    Its stages are modules under their names in the chain, which run one after the other.
    """

    def __init__(self, chain: Chain) -> None:
        super().__init__()
        self.chain = chain
        """The stages; fields are in the units of this model."""
        self.passes: tuple[str, ...] = ()
        """Names of the passes that made it, in their order."""

    def forward(self, lr: Tensor) -> Tensor:
        """Map what the first stage reads, such as :func:`make_batch` gives, to the result."""
        x = lr
        for name in self.chain.names:
            x = self.get_submodule(name)(x)
        return x


def make_batch(chain: Chain | None, pixels: NDArray[np.floating[Any]]) -> Tensor:
    """Return an image ``[3, H, W]`` as the first stage of a chain reads it, as a batch of one.

    Args:
        chain: of a whole model; None for a part, which reads images as they are.
        pixels: in about [0, 1].
    """
    return torch.from_numpy(pixels if chain is None else prepare_image(chain, pixels))[None]
