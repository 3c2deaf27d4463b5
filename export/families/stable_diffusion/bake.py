"""Baking of PiSA-SR and OSEDiff: time, prompt and factors become constants, which are folded."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tinysr.models.families.stable_diffusion import StableDiffusionSr

from ...model.baked import Baked
from ...model.fold_norms import fold_norms
from ...model.typed_blocks import lay_out_every_linear, type_blocks
from .folds import fold_decoder, fold_encoder, fold_prompt, widen_step
from .stages import TYPED_STAGES

__all__ = ["PIPELINE", "bake_stable_diffusion"]

PIPELINE: tuple[Callable[[StableDiffusionSr], StableDiffusionSr], ...] = (
    # First: a text that is read anew has linears for keys and values, which norms don't reach.
    fold_prompt,
    fold_norms,
    fold_encoder,
    fold_decoder,
    widen_step,
    # Behind all folds, which know the blocks by their own classes.
    partial(type_blocks, own=TYPED_STAGES),
    # Last, because every fold above thinks in [outputs, inputs].
    lay_out_every_linear,
)
"""The folds, in their order, each with the reason it stands there."""


def bake_stable_diffusion(model: StableDiffusionSr, tile: int) -> Baked:
    """Return a model without time and prompt, for tiles of one size.

    The eager model is left as it is. Its tensors are shared where no pass changes them.

    Raises:
        UnsupportedError: the tile does not divide into cells, or is too small.
    """
    baked = Baked(model.chain(tile))
    for fold in PIPELINE:
        model = fold(model)
    for stage in baked.chain.names:
        baked.add_module(stage, model.get_submodule(stage))
    baked.passes = tuple(getattr(fold, "func", fold).__name__ for fold in PIPELINE)
    return baked.eval()
