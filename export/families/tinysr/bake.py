"""TinySR's baking: its conditions become constants, which are folded into the weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from tinysr.errors import TinySRError
from tinysr.models import TinySR

from . import passes
from .baked import BakedTinySR, list_unfolded

__all__ = ["PIPELINE", "bake_tinysr"]

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


def bake_tinysr(model: TinySR, tile: int) -> BakedTinySR:
    """Return a model without time, text and modulation, for tiles of one size.

    The eager model is left as it is. Its tensors are shared where no pass changes them.

    Args:
        model: an eager model, on any device, "meta" included.
        tile: side of the tile, in low-resolution pixels.

    Raises:
        UnsupportedError: the tile's side does not divide into tokens, or is larger than the
            model's position table.
        TinySRError: a pass refuses the model; the message names the pass and those before.
        RuntimeError: a pass has a fault; likewise.
    """
    model.chain(tile)  # refuses a tile that does not fit
    first = partial(passes.freeze_conditioning, model, tile)
    done: list[str] = []
    baked = _run_pass(first, passes.freeze_conditioning.__name__, done)
    del first, model  # the passes free what they fold, unless somebody else holds it
    for fold in PIPELINE:
        baked = _run_pass(partial(fold, baked), fold.__name__, done)
    left = list(list_unfolded(baked))
    if left:
        raise RuntimeError(f"baking left {', '.join(left)}, after {', '.join(done)}")
    baked.passes = tuple(done)
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
