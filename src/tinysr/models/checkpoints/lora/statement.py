"""One source's statement of a LoRA's strength, and the factor it gives a module."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from .options import OptionError

__all__ = ["Statement", "ends_of"]

# peft matches these with regular expressions; those of others are not run here.
_PLAIN_NAME = re.compile(r"\^?\w+(\.\w+)*", re.ASCII)


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """What one source says of a LoRA's strength."""

    source: str
    """Name of the source in messages."""
    alpha: float | None = None
    """Alpha of all modules that ``alphas`` does not name; None if it is not stated."""
    rank: int | None = None
    """Rank of all modules that ``ranks`` does not name; None if it is not stated."""
    alphas: Mapping[str, float] = field(default_factory=dict)
    """Alphas by the names of modules or their ends; an exact name begins with ``^``."""
    ranks: Mapping[str, float] = field(default_factory=dict)
    """Ranks by the names of modules or their ends, as in ``alphas``."""
    rank_stabilised: bool = False
    """Whether alpha is divided by √rank in place of the rank."""
    rounding: float = 1e-6
    """Relative error that its numbers may have."""
    open: bool = False
    """Whether modules differ in a way that only another source can tell."""

    def __post_init__(self) -> None:
        """Refuse names that are no plain ones.

        Raises:
            OptionError: a name is a regular expression.
        """
        for name in (*self.alphas, *self.ranks):
            if not _PLAIN_NAME.fullmatch(name):
                raise OptionError(
                    f"{self.source} has the pattern {name[:60]!r}, and regular expressions are not "
                    f"run: expected names of modules, or the ends of names"
                )

    def rank_of(self, module: str) -> float | None:
        """Return the rank that is stated for a module."""
        return _find_number(self.ranks, module, self.rank)

    @property
    def leaves_open(self) -> bool:
        """Whether the source says that modules differ, and may not say it of all."""
        return self.open or (self.alpha is None and bool(self.alphas))

    def scale_of(self, module: str, rank: int) -> float | None:
        """Return what a module's product of factors is multiplied by; None if nothing is said."""
        alpha = _find_number(self.alphas, module, self.alpha)
        if alpha is None:
            return None
        return alpha / (math.sqrt(rank) if self.rank_stabilised else rank)


def ends_of(module: str) -> set[str]:
    """Return the names that mean a module: its own, the ends of it in whole parts, the exact."""
    parts = module.split(".")
    return {".".join(parts[i:]) for i in range(len(parts))} | {f"^{module}"}


def _find_number(numbers: Mapping[str, float], module: str, default: float | None) -> float | None:
    """Return the number of the first name that means a module."""
    if not numbers:
        return default
    ends = ends_of(module)
    return next((number for name, number in numbers.items() if name in ends), default)
