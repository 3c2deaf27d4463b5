"""The release's gate on section 3.2: conditions removed and modulation cached change nothing.

A trained model computes its modulation from a time and a prompt that never change. What is
exported has constants in their place. Before weights are released, both are computed on photos,
and they must agree.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tinysr.errors import UnsupportedError
from tinysr.export import bake, prove_baked
from tinysr.manifest import BakeProof
from tinysr.models import SCALE, TinySR
from tinysr.models.families.tinysr.accounting import count_eager_costs, meta_model
from tinysr.training.evaluate import PhotoPair

__all__ = ["count_removed_parameters", "proof_lines", "prove_release"]


def prove_release(model: TinySR, pairs: Sequence[PhotoPair]) -> BakeProof:
    """Return the proof of the photo on which the baked model differs most from the trained one.

    Args:
        model: as trained: LoRA merged, time, text and modulation modules in place.
        pairs: photos; the middle of each one's low resolution is a tile.

    Raises:
        GateError: they differ by more than fp32's own rounding explains.
        UnsupportedError: there are no photos, or they are too small for a tile.
    """
    if not pairs:
        raise UnsupportedError("expected photos to prove the release's constants on, found none")
    tile = _tile(model, pairs)
    baked = bake(model, tile)
    proofs = [prove_baked(model, baked, _crop_middle(pair, tile)) for pair in pairs]
    return max(proofs, key=lambda proof: proof.difference)


def proof_lines(model: TinySR, proof: BakeProof, photos: int) -> list[str]:
    """Return what a model card says of the proof, as Markdown."""
    removed = count_removed_parameters(model) / 1e6
    return [
        "## Conditions",
        "",
        f"The {removed:.2f} M parameters that make time, pooled text and",
        "modulation are constants in what is exported. Over the middles of the",
        f"{photos} photos above, that changes the image by {proof.difference:.1e} of its largest",
        f"value at most (gate: {proof.tolerance:.0e}).",
        "",
    ]


def count_removed_parameters(model: TinySR) -> int:
    """Return how many parameters the constants stand for."""
    costs = count_eager_costs(meta_model(model.config), _largest_tile(model))
    return costs["conditioning"].parameters + costs["modulation"].parameters


def _largest_tile(model: TinySR) -> int:
    """Return the side of the largest tile that the position table allows, in pixels."""
    transformer = model.config.transformer
    return transformer.position_grid * transformer.patch * model.config.vae.downscale // SCALE


def _tile(model: TinySR, pairs: Sequence[PhotoPair]) -> int:
    """Return the side of the largest tile that all photos have."""
    step = model.config.vae.downscale * model.config.transformer.patch // SCALE
    side = min(min(pair.low.shape[:2]) for pair in pairs)
    tile: int = side // step * step
    return min(tile, _largest_tile(model))


def _crop_middle(pair: PhotoPair, tile: int) -> Tensor:
    rows, columns = pair.low.shape[:2]
    top, left = (rows - tile) // 2, (columns - tile) // 2
    crop = pair.low[top : top + tile, left : left + tile]
    return torch.from_numpy(crop.copy()).permute(2, 0, 1)[None]
