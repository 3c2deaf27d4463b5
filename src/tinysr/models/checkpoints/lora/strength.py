"""Strength of a LoRA's modules: what its sources say, held against each other and the tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tinysr.errors import CheckpointError

from .names import LowRankPair
from .statement import Statement, ends_of

__all__ = ["scales"]

_MAX_RANK = 4096  # those in use have 4 to 256
_WITHOUT = 1.0  # where nothing is said, alpha is the rank, as diffusers takes it


def scales(
    pairs: Mapping[str, LowRankPair], said: Sequence[Statement], path: Path
) -> dict[str, float]:
    """Return what each module's product of factors is multiplied by.

    Args:
        pairs: the factors by module.
        said: what every source says.
        path: the LoRA, for messages.

    Raises:
        CheckpointError: sources contradict each other or the tensors, one names a module that
            the LoRA has not, or they leave a module open.
    """
    ends = {end for module in pairs for end in ends_of(module)}
    for one in said:
        _check_names(one, ends, path)
    return {
        module: _scale(module, pair.down.shape[0], said, path) for module, pair in pairs.items()
    }


def _check_names(one: Statement, ends: set[str], path: Path) -> None:
    """Refuse a pattern that is of no module: it was meant for one."""
    for name in (*one.alphas, *one.ranks):
        if name not in ends:
            raise CheckpointError(
                f"{path}: {one.source} has the pattern {name[:200]!r}, and no module of this LoRA "
                f"is named so: expected the config of this very LoRA"
            )


def _scale(module: str, rank: int, said: Sequence[Statement], path: Path) -> float:
    if not 0 < rank <= _MAX_RANK:
        raise CheckpointError(
            f"{path}: the LoRA of '{module}' has rank {rank}, expected 1 to {_MAX_RANK}"
        )
    for one in said:
        stated = one.rank_of(module)
        if stated is not None and stated != rank:
            raise CheckpointError(
                f"{path}: {one.source} says rank {stated:g}, and the tensors of '{module}' have "
                f"rank {rank}: expected the config of this very LoRA"
            )
    found = [(one, scale) for one in said if (scale := one.scale_of(module, rank)) is not None]
    if not found:
        if source := next((one.source for one in said if one.leaves_open), None):
            raise CheckpointError(
                f"{path}: by {source}, modules have strengths of their own, and '{module}' has "
                f"none: expected '{module}.alpha' among the tensors"
            )
        return _WITHOUT
    first, scale = found[0]
    for one, other in found[1:]:
        if abs(other - scale) > max(first.rounding, one.rounding) * scale:
            raise CheckpointError(
                f"{path}: {first.source} and {one.source} disagree on the strength of '{module}', "
                f"{scale:g} and {other:g}: remove the wrong one"
            )
    return scale
