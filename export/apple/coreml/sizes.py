"""A transformer that takes tiles of several sizes, for the function ``upscale``."""

from __future__ import annotations

from typing import cast

from torch import Tensor, nn

from tinysr.export.model.baked import Baked
from tinysr.export.model.baked_transformer import BakedPatchEmbed, MatMulLinear
from tinysr.export.model.rewrite import replace_modules
from tinysr.export.model.typed import Typed

from .prepare import ShuffledTransformer

__all__ = ["AnySizeEmbed", "AnySizeTransformer", "allow_any_size"]


class AnySizeEmbed(Typed):
    """Latents of a tile or less → tokens, with the middle of the tile's positions."""

    def __init__(self, proj: nn.Conv2d, positions: Tensor, *, ane: bool) -> None:
        """Take the positions ``[1, dim, G, G]`` of the largest tile."""
        super().__init__()
        self.proj, self.ane = proj, ane
        self.positions: Tensor
        self.register_buffer("positions", positions)

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[N, C, h, w]`` to ``[N, L, dim]``, or to ``[N, dim, 1, L]``."""
        tokens: Tensor = self.proj(z)
        rows, columns = tokens.shape[2:]
        side = self.positions.shape[2]
        top, left = (side - rows) // 2, (side - columns) // 2
        own = self.positions[:, :, top : top + rows, left : left + columns]
        x = (self.cast_input(tokens) + own).flatten(2)
        return x[:, :, None] if self.ane else x.transpose(1, 2)


class AnySizeTransformer(ShuffledTransformer):
    """A transformer whose grid is that of the latents it is given."""

    ane: bool

    def forward(self, z: Tensor) -> Tensor:
        """Map ``[1, C, h, w]`` to the same shape."""
        x = self.transformer_blocks(self.pos_embed(z))
        v = self.proj_out(self.norm_out(x))
        rows, columns = z.shape[2] // self.patch, z.shape[3] // self.patch
        v = v if self.ane else v.transpose(1, 2)
        grid = v.reshape(1, v.shape[1], rows, columns)  # an open batch is not an image to Core ML
        restored: Tensor = self.step(z, nn.functional.pixel_shuffle(grid, self.patch))
        return restored


def allow_any_size(model: Baked) -> Baked:
    """Let a prepared model take every tile that is not larger than its own.

    Given: a model of :func:`.prepare.prepare`, perhaps in the Neural Engine's layout.
    Result: the same function. On smaller tiles it computes what a model baked for them does.
    Modules keep their paths, by which plans know them.
    """
    return replace_modules(model, ShuffledTransformer, _open_sizes)


def _open_sizes(old: ShuffledTransformer) -> AnySizeTransformer:
    embed = old.pos_embed
    ane = embed.positions.ndim == 4
    flat = embed.positions.flatten(2) if ane else embed.positions.transpose(1, 2)
    positions = flat.reshape(1, -1, old.grid, old.grid).contiguous()
    new = AnySizeTransformer(
        cast(BakedPatchEmbed, AnySizeEmbed(embed.proj, positions, ane=ane)),
        old.transformer_blocks,
        old.norm_out,
        cast(MatMulLinear, old.proj_out),
        patch=old.patch,
        grid=old.grid,
    )
    new.ane = ane
    return new
