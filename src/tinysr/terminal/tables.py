"""Table: rows of cells, whatever they are printed on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from .styled import Part

__all__ = ["Column", "Table"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column's name, and how its cells may stand."""

    name: str
    right: bool = False
    """Whether cells stand at the right, as numbers do."""
    wraps: bool = False
    """Whether a cell may take several lines: for prose. Words never break."""


@dataclass(kw_only=True, slots=True)
class Table:
    """Rows with one cell for each column. The first cell names its row."""

    columns: Sequence[Column]
    rows: list[tuple[Part, ...]] = field(default_factory=list)
    title: str = ""
    caption: str = ""

    def add(self, *cells: Part) -> None:
        """Add a row.

        Raises:
            ValueError: it has more cells than there are columns, or fewer.
        """
        if len(cells) != len(self.columns):
            raise ValueError(f"expected {len(self.columns)} cells, found {len(cells)}")
        self.rows.append(cells)
