"""Baking: an eager model → the same function of the image, with its constants folded in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from tinysr.chain import Chain
from tinysr.errors import GateError
from tinysr.manifest import BakeProof
from tinysr.models import OneStepModel
from tinysr.models.sharing import copy_tree

from .families.adcsr import bake_adcsr
from .families.custom import bake_custom
from .families.sana_sr import bake_sana_sr
from .families.stable_diffusion import bake_stable_diffusion
from .families.tinysr.bake import bake_tinysr
from .families.tsd_sr.bake import bake_tsd_sr
from .model.baked import Baked

__all__ = [
    "BAKERS",
    "BAKE_TOLERANCE",
    "DEFAULT_TILE",
    "bake",
    "prove_baked",
    "prove_output",
    "run_stages",
]

BAKE_TOLERANCE = 1e-4
"""Largest difference of baked against eager in fp32, relative to the output's largest value."""

DEFAULT_TILE = 128
"""Side of a tile in low-resolution pixels: what the released models were trained on."""

BAKERS: Mapping[str, Callable[[Any, int], Baked]] = {
    "adcsr": bake_adcsr,
    "custom": bake_custom,
    "sana-sr": bake_sana_sr,
    "osediff": bake_stable_diffusion,
    "pisa-sr": bake_stable_diffusion,
    "tinysr": bake_tinysr,
    "toc-sr": bake_stable_diffusion,
    "tsd-sr": bake_tsd_sr,
}
"""Functions that bake a model for tiles of one size, by its family. They may take the model apart
that they are given."""


def bake(model: OneStepModel, tile: int = DEFAULT_TILE, *, consume: bool = False) -> Baked:
    """Return a model without what is the same for every image, for tiles of one size.

    The eager model is left as it is, unless it is consumed. Its tensors are shared where no pass
    changes them.

    Args:
        model: an eager model, on any device, "meta" included.
        tile: side of the tile, in low-resolution pixels.
        consume: move the eager model to the device "meta", so that its weights are freed as they
            are folded: a large model and the baked one are never in memory together.

    Raises:
        UnsupportedError: no tile of this size fits the model.
        TinySRError: a pass refuses the model; the message names the pass and those before.
        RuntimeError: a pass has a fault; likewise.
    """
    copies = [copy_tree(model)]
    if consume:
        model.to("meta")
    return BAKERS[model.facts["family"]](copies.pop(), tile)  # nobody else holds it


@torch.no_grad()
def prove_baked(eager: OneStepModel, baked: Baked, lr: torch.Tensor) -> BakeProof:
    """Hold the baked model against the eager one on what their first stage reads.

    Args:
        eager: the model.
        baked: what became of it.
        lr: ``[N, 3, T, T]`` in [0, 1], enlarged already where the chain enlarges images.

    Raises:
        GateError: they differ by more than :data:`BAKE_TOLERANCE`.
    """
    return prove_output(run_stages(eager, baked.chain, lr), baked, lr)


@torch.no_grad()
def run_stages(model: OneStepModel, chain: Chain, x: torch.Tensor) -> torch.Tensor:
    """Return what a model's stages make of what the first one reads ``[N, 3, H, W]``."""
    for stage in chain.names:
        x = model.run_stage(stage, x)
    return x


@torch.no_grad()
def prove_output(expected: torch.Tensor, baked: Baked, lr: torch.Tensor) -> BakeProof:
    """Hold the baked model against what the eager one made of an image before it was baked.

    Args:
        expected: the eager model's result.
        baked: the baked model.
        lr: what the first stage reads, ``[N, 3, T, T]`` in [0, 1].

    Raises:
        GateError: they differ by more than :data:`BAKE_TOLERANCE`.
    """
    difference = float((baked(lr) - expected).abs().max() / expected.abs().max())
    if not difference <= BAKE_TOLERANCE:  # NaN included
        raise GateError(
            f"the baked model differs from the eager one by {difference:.2e} of its output, "
            f"more than {BAKE_TOLERANCE:.0e}: the checkpoint's weights are too large to fold in "
            "fp32, or a pass is wrong"
        )
    return BakeProof(difference=difference, tolerance=BAKE_TOLERANCE, passes=baked.passes)
