"""Baking: an eager model → the same function of the image, with its constants folded in."""

from __future__ import annotations

from collections.abc import Callable

import torch

from tinysr.errors import GateError, UnsupportedError
from tinysr.manifest import BakeProof
from tinysr.models import SCALE, TinySR

from . import passes
from .baked import BakedTinySR, unfolded

__all__ = ["BAKE_TOLERANCE", "DEFAULT_TILE", "PIPELINE", "bake", "prove_baked"]

BAKE_TOLERANCE = 1e-4
"""Largest difference of baked against eager in fp32, relative to the output's largest value."""

DEFAULT_TILE = 128
"""Side of a tile in low-resolution pixels: what the released models were trained on."""

PIPELINE: tuple[Callable[[BakedTinySR], BakedTinySR], ...] = (
    # Scale and shift first: they need q, k and v as they are, one linear each.
    passes.fold_modulation,
    # Gates go the other way, into the linears before them.
    passes.fold_gates,
    passes.fold_norm_out,
    # Only q takes the scale, so before the three are one.
    passes.fold_attention_scale,
    passes.join_qkv,
    # The maps must be gone before the first and last convolutions absorb other factors.
    passes.cancel_range_maps,
    passes.fold_latent_scale,
    passes.fix_resize,
    # Last, because every fold above thinks in [outputs, inputs].
    passes.lay_out_linears,
)
"""The folds, in their order, each with the reason it stands there."""


def bake(model: TinySR, tile: int = DEFAULT_TILE) -> BakedTinySR:
    """Return a model without time, text and modulation, for tiles of one size.

    The eager model is left as it is. Its tensors are shared where no pass changes them.

    Args:
        model: an eager model, on any device, "meta" included.
        tile: side of the tile, in low-resolution pixels.

    Raises:
        UnsupportedError: the tile's side does not divide into tokens, or is larger than the
            model's position table; or the model is a teacher.
    """
    if not isinstance(model, TinySR):
        raise UnsupportedError(
            f"expected a TinySR model, found a {type(model).__name__}: a teacher is never "
            f"exported, its student is: see tinysr train"
        )
    step = model.config.vae.downscale * model.config.transformer.patch // SCALE
    if tile < 4 * step or tile % step:
        raise UnsupportedError(
            f"expected a tile of at least {4 * step} pixels that divides by {step}, found {tile}"
        )
    baked = passes.freeze_conditioning(model, tile)
    for fold in PIPELINE:
        baked = fold(baked)
    left = list(unfolded(baked))
    if left:
        raise RuntimeError(f"baking left {', '.join(left)}")
    return baked


@torch.no_grad()
def prove_baked(eager: TinySR, baked: BakedTinySR, lr: torch.Tensor) -> BakeProof:
    """Hold the baked model against the eager one on an image ``[N, 3, T, T]`` in [0, 1].

    Raises:
        GateError: they differ by more than :data:`BAKE_TOLERANCE`.
    """
    expected = eager(lr)
    difference = float((baked(lr) - expected).abs().max() / expected.abs().max())
    if not difference <= BAKE_TOLERANCE:  # NaN included
        raise GateError(
            f"the baked model differs from the eager one by {difference:.2e} of its output, "
            f"more than {BAKE_TOLERANCE:.0e}: the checkpoint's weights are too large to fold in "
            "fp32, or a pass is wrong"
        )
    names = ("freeze_conditioning", *(fold.__name__ for fold in PIPELINE))
    return BakeProof(difference=difference, tolerance=BAKE_TOLERANCE, passes=names)
