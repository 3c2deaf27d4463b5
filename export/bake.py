"""Baking: an eager model → the same function of the image, with its constants folded in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from tinysr.errors import GateError, UnsupportedError
from tinysr.manifest import BakeProof
from tinysr.models import OneStepModel

from .families.adcsr import bake_adcsr
from .families.custom import bake_custom
from .families.sana_sr import bake_sana_sr
from .families.stable_diffusion import bake_stable_diffusion
from .families.tinysr.bake import bake_tinysr
from .model.baked import Baked

__all__ = ["BAKERS", "BAKE_TOLERANCE", "DEFAULT_TILE", "bake", "prove_baked"]

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
}
"""Functions that bake a model for tiles of one size, by its family."""


def bake(model: OneStepModel, tile: int = DEFAULT_TILE) -> Baked:
    """Return a model without what is the same for every image, for tiles of one size.

    The eager model is left as it is. Its tensors are shared where no pass changes them.

    Args:
        model: an eager model, on any device, "meta" included.
        tile: side of the tile, in low-resolution pixels.

    Raises:
        UnsupportedError: no tile of this size fits the model, or it is a teacher.
        TinySRError: a pass refuses the model; the message names the pass and those before.
        RuntimeError: a pass has a fault; likewise.
    """
    if not isinstance(model, OneStepModel):
        raise UnsupportedError(
            f"expected a model of one of the families {', '.join(BAKERS)}, found a "
            f"{type(model).__name__}: a teacher is never exported, its student is: see tinysr train"
        )
    return BAKERS[model.facts["family"]](model, tile)


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
    expected = lr
    for stage in baked.chain.names:
        expected = eager.run_stage(stage, expected)
    difference = float((baked(lr) - expected).abs().max() / expected.abs().max())
    if not difference <= BAKE_TOLERANCE:  # NaN included
        raise GateError(
            f"the baked model differs from the eager one by {difference:.2e} of its output, "
            f"more than {BAKE_TOLERANCE:.0e}: the checkpoint's weights are too large to fold in "
            "fp32, or a pass is wrong"
        )
    return BakeProof(difference=difference, tolerance=BAKE_TOLERANCE, passes=baked.passes)
