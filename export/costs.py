"""Costs of a model in each of its forms, from a checkpoint to what is exported."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from tinysr.models import SCALE, ModelConfig, OneStepModel, TinySR
from tinysr.models.accounting import Cost, count_stage_costs
from tinysr.models.families.tinysr.accounting import count_eager_costs

from .bake import bake
from .families.tinysr.passes import fold_gates, freeze_conditioning
from .model.baked_transformer import Modulated

__all__ = ["FORMS", "SIDE", "count_forms"]

SIDE = 128
"""Side of the image that costs are counted for, in pixels: the paper's."""

FORMS = {
    "eager": "as trained",
    "unconditioned": "without the time and pooled-text modules",
    "baked": "modulation as constants: scales and shifts left beside the norms",
    "folded": "all constants folded into the linears: what is exported",
}
"""The states a model passes through, from a checkpoint to a graph."""


def count_forms(model: OneStepModel) -> dict[str, Any]:
    """Count all forms of a model, JSON-ready.

    Args:
        model: on the device "meta", so that no memory is taken.

    Raises:
        UnsupportedError: the model does not take an image of this side.
    """
    side = _side(model.config) if isinstance(model, TinySR) else SIDE
    chain = model.chain(side)
    if isinstance(model, TinySR):
        eager = count_eager_costs(model, side)
    else:
        eager = count_stage_costs(chain, model.stage_modules, side, model.run_stage)
    folded = count_stage_costs(chain, bake(model, side).get_submodule, side)
    nothing = Cost(parameters=0, macs=0)
    whole, after = sum(eager.values(), nothing), sum(folded.values(), nothing)
    totals = {"eager": whole, "folded": after}
    if isinstance(model, TinySR):
        totals["unconditioned"] = whole - eager["conditioning"]
        kept = Cost(parameters=_count_kept(model, side), macs=0)
        totals["baked"] = after + kept
    return {
        "image_side": side,
        "scale": chain.scale,
        "stages": {
            stage: {"eager": asdict(cost), "folded": asdict(folded.get(stage, nothing))}
            for stage, cost in eager.items()
        },
        "totals": {form: asdict(totals[form]) for form in FORMS if form in totals},
    }


def _count_kept(model: TinySR, side: int) -> int:
    """Count the scales and shifts that are left when only the gates are folded."""
    frozen = fold_gates(freeze_conditioning(model, side))
    norms = [module for module in frozen.modules() if isinstance(module, Modulated)]
    return sum(buffer.numel() for norm in norms for buffer in norm.buffers())


def _side(config: ModelConfig) -> int:
    """Return the paper's side, or the largest that a small position table allows."""
    transformer = config.transformer
    latent = transformer.position_grid * transformer.patch
    return min(SIDE, latent * config.vae.downscale // SCALE)
