"""A model baked: stages that run one after the other, with nothing but the image as input.

The module tree mirrors the eager model's, so that a value in an exported graph can be named
after the module that made it.
"""

from __future__ import annotations

from torch import Tensor, nn

from tinysr.chain import Chain

__all__ = ["Baked"]


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
        """Map an image ``[N, 3, H, W]`` in [0, 1] to the result, unclamped."""
        x = lr
        for name in self.chain.names:
            x = self.get_submodule(name)(x)
        return x
