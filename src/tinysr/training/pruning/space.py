"""The search space of depth pruning: which masks there are, and which ones a search reaches.

A network of L layers is cut into blocks of N, each of which keeps K at first (paper section 3.1).
Dynamic inter-block activation moves one kept layer across the border of two neighbouring blocks.
All counts are exact.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from tinysr.errors import UnsupportedError, choice_error

__all__ = ["PAIRINGS", "KeptLayers", "Pairing", "SearchSpace"]

KeptLayers = tuple[int, ...]
"""The numbers of the layers that stay, rising."""

Pairing = Literal["disjoint", "neighbours"]
"""Pairs of blocks that may trade a layer. ``disjoint``: blocks 0 and 1, 2 and 3, …: each block
trades with one partner at most. It is the paper's: the depth of *each pair* is constant there, and
the probability of a mask is a product of terms of one pair (equation 6), neither of which holds
where a block is part of two pairs. With an odd number of blocks the last one trades with none.
``neighbours``: blocks 0 and 1, 1 and 2, …, one border after the other. It reaches more masks, and
serves an odd number of blocks; only the depth of the whole is constant."""

PAIRINGS: tuple[Pairing, ...] = get_args(Pairing)

STAY, FORWARD, BACKWARD = range(3)
"""Moves of a border: nothing; its first block grows and its second shrinks; the reverse."""

_CHANGES = {STAY: (0, 0), FORWARD: (1, -1), BACKWARD: (-1, 1)}


@dataclass(frozen=True, kw_only=True, slots=True)
class SearchSpace:
    """Blocks of layers, and the borders across which they trade."""

    layers: int
    block: int = 4
    """N: layers in a block."""
    keep: int = 2
    """K: layers that a block keeps before any trade."""
    pairing: Pairing = "disjoint"

    def __post_init__(self) -> None:
        """Refuse what can't be cut or traded."""
        if self.pairing not in PAIRINGS:
            raise choice_error("pairing", self.pairing, PAIRINGS)
        if not 0 < self.keep < self.block or self.layers < 1 or self.layers % self.block:
            raise UnsupportedError(
                f"expected blocks that divide {self.layers} layers and keep some of theirs, found "
                f"blocks of {self.block} that keep {self.keep}"
            )
        if any(not 0 <= count <= self.block for counts in self.counts() for count in counts):
            raise UnsupportedError(
                f"blocks of {self.block} that keep {self.keep} can't trade with two neighbours: "
                "choose disjoint pairs, or larger blocks"
            )

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return self.layers // self.block

    @property
    def kept(self) -> int:
        """Layers that the pruned network has."""
        return self.blocks * self.keep

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """The pairs of blocks that trade, in the order in which they do."""
        step = 2 if self.pairing == "disjoint" else 1
        return tuple((first, first + 1) for first in range(0, self.blocks - 1, step))

    @property
    def options(self) -> tuple[KeptLayers, ...]:
        """A block's masks before any trade, as the places that they keep."""
        return tuple(itertools.combinations(range(self.block), self.keep))

    @property
    def total(self) -> int:
        """All masks of this depth."""
        return math.comb(self.layers, self.kept)

    @property
    def local(self) -> int:
        """Masks that keep K of every block: what a search without trades reaches (equation 5)."""
        return math.prod([len(self.options)] * self.blocks)

    @property
    def reachable(self) -> int:
        """Different masks that a search with trades reaches: the local ones are among them."""
        ways = (math.prod(math.comb(self.block, c) for c in counts) for counts in self.counts())
        return sum(ways)

    def counts(self) -> set[tuple[int, ...]]:
        """Return what the blocks may keep after all trades, each combination once."""
        found: set[tuple[int, ...]] = set()
        for moves in itertools.product(_CHANGES, repeat=len(self.pairs)):
            counts = [self.keep] * self.blocks
            for (first, second), move in zip(self.pairs, moves, strict=True):
                grown, shrunk = _CHANGES[move]
                counts[first] += grown
                counts[second] += shrunk
            found.add(tuple(counts))
        return found

    def is_local(self, kept: KeptLayers) -> bool:
        """Tell whether a mask keeps K of every block."""
        return self._counts_of(kept) == (self.keep,) * self.blocks

    def is_reachable(self, kept: KeptLayers) -> bool:
        """Tell whether a search with trades can end at a mask."""
        return self._counts_of(kept) in self.counts()

    def _counts_of(self, kept: KeptLayers) -> tuple[int, ...]:
        owners = [layer // self.block for layer in kept]
        return tuple(owners.count(block) for block in range(self.blocks))

    def masks(self) -> Iterator[KeptLayers]:
        """Yield every mask of this depth: for small networks only."""
        return itertools.combinations(range(self.layers), self.kept)

    def summary(self) -> dict[str, Any]:
        """Return the counts and their fractions of all masks, JSON-ready."""
        return {
            "layers": self.layers,
            "kept": self.kept,
            "block": self.block,
            "keep": self.keep,
            "pairing": self.pairing,
            "total": self.total,
            "local": self.local,
            "local_fraction": self.local / self.total,
            "reachable": self.reachable,
            "reachable_fraction": self.reachable / self.total,
            "added": self.reachable - self.local,
        }
