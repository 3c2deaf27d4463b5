"""Baking: an eager model → the same function of the image, with its constants folded in."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from tinysr.errors import GateError, TinySRError, UnsupportedError
from tinysr.manifest import BakeProof
from tinysr.models import TinySR

from . import passes
from .baked import BakedTinySR, list_unfolded

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
        TinySRError: a pass refuses the model; the message names the pass and those before.
        RuntimeError: a pass has a fault; likewise.
    """
    if not isinstance(model, TinySR):
        raise UnsupportedError(
            f"expected a TinySR model, found a {type(model).__name__}: a teacher is never "
            f"exported, its student is: see tinysr train"
        )
    model.chain(tile)  # refuses a tile that does not fit
    first = partial(passes.freeze_conditioning, model, tile)
    done: list[str] = []
    baked = _run_pass(first, passes.freeze_conditioning.__name__, done)
    for fold in PIPELINE:
        baked = _run_pass(partial(fold, baked), fold.__name__, done)
    left = list(list_unfolded(baked))
    if left:
        raise RuntimeError(f"baking left {', '.join(left)}, after {', '.join(done)}")
    return baked


def _run_pass(work: Callable[[], BakedTinySR], name: str, done: list[str]) -> BakedTinySR:
    """Run a pass and add its name to those that are done.

    Raises:
        TinySRError: the pass refuses the model: its own error, with the pass's place.
        RuntimeError: the pass failed otherwise.
    """
    try:
        baked = work()
    except MemoryError:  # no pass's doing
        raise
    except Exception as error:
        before = f"after {', '.join(done)}" if done else "the first"
        place = f"the pass {name}, number {len(done) + 1} of {len(PIPELINE) + 1}, {before}"
        kind = type(error) if isinstance(error, TinySRError) else RuntimeError
        raise kind(f"{error or type(error).__name__} (in {place})") from error
    done.append(name)
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
