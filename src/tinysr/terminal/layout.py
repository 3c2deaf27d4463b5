"""Layout of tables: side by side where all fits, one block for each row where it does not.

Nothing is ever cut. What could not stand in the encoding is replaced before anything is measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.text import Text

from .encoding import degrade_text, make_plain

if TYPE_CHECKING:
    from rich.console import Console

    from .styled import Part
    from .tables import Column, Table

__all__ = ["table_lines", "wrap_text"]

_GAP = "  "

_PROSE = 24
"""Columns below which prose that wraps is no longer pleasant to read."""

_WORD = re.compile(r"^\s*\S+\s*|\S+\s*")
"""A word and the space after it; before the first, the space that indents the line."""

Cells = list[list[Text]]


def table_lines(table: Table, console: Console, width: int | None) -> Iterator[Text]:
    """Yield a table's lines, none wider than ``width`` columns unless a single word is."""
    cells = [[_text(cell, console) for cell in row] for row in table.rows]
    heads = [_text(column.name, console) for column in table.columns]
    widths = _fit_widths(table.columns, [heads, *cells], width)
    if table.title:
        yield from wrap_text(_style(table.title, "bold", console), width)
    if widths is not None:
        yield from _grid(table.columns, heads, cells, widths, console)
    elif width is not None:
        yield from _blocks(heads, cells, width)
    if table.caption:
        yield from wrap_text(_style(table.caption, "dim", console), width)


def _text(part: Part, console: Console) -> Text:
    style, text = (part.style, part.plain) if isinstance(part, Text) else ("", make_plain(part))
    return _style(text, str(style), console)


def _style(text: str, style: str, console: Console) -> Text:
    return Text(degrade_text(text, console.encoding), style)


def _fit_widths(columns: Sequence[Column], rows: Cells, width: int | None) -> list[int] | None:
    """Return the columns' widths, or None if they don't fit side by side."""
    wide = [max(cell.cell_len for cell in cells) for cells in zip(*rows, strict=True)]
    if width is None:
        return wide
    room = width - len(_GAP) * (len(columns) - 1)
    narrow = [
        max(min(most, _PROSE), *(_longest_word(cell) for cell in cells)) if column.wraps else most
        for column, most, cells in zip(columns, wide, zip(*rows, strict=True), strict=True)
    ]
    if sum(narrow) > room:
        return None
    for place, most in enumerate(wide):  # the first that wraps gets what it wants, if it can
        narrow[place] += min(most - narrow[place], room - sum(narrow))
    return narrow


def _longest_word(cell: Text) -> int:
    return max(map(cell_len, cell.plain.split()), default=0)


def _grid(
    columns: Sequence[Column], heads: list[Text], cells: Cells, widths: list[int], console: Console
) -> Iterator[Text]:
    for head in heads:
        head.stylize("bold")
    yield from _row(columns, heads, widths, console)
    yield _style("─" * (sum(widths) + len(_GAP) * (len(widths) - 1)), "dim", console)
    for row in cells:
        yield from _row(columns, row, widths, console)


def _row(
    columns: Sequence[Column], row: Sequence[Text], widths: Sequence[int], console: Console
) -> Iterator[Text]:
    stacks = [list(wrap_text(cell, w)) for cell, w in zip(row, widths, strict=True)]
    for pieces in zip_longest(*stacks, fillvalue=Text()):
        line = Text()
        for column, piece, width in zip(columns, pieces, widths, strict=True):
            space = " " * (width - piece.cell_len)
            line.append_text(Text.assemble(space, piece) if column.right else piece + Text(space))
            line.append(_GAP)
        line.rstrip()
        yield line


def _blocks(heads: list[Text], cells: Cells, width: int) -> Iterator[Text]:
    """Yield each row as its name and, below it, a line for each other cell that is not empty."""
    for row in cells:
        for number, (head, cell) in enumerate(zip(heads, row, strict=True)):
            said = Text.assemble(head, ": ", cell, style="" if number else "bold")
            if number == 0:
                yield from wrap_text(said, width)
            elif cell.plain:
                yield from _indent(said, width)


def _indent(text: Text, width: int) -> Iterator[Text]:
    for number, piece in enumerate(wrap_text(text, max(width - 4, 1))):
        yield Text.assemble("    " if number else "  ", piece)


def wrap_text(text: Text, width: int | None) -> Iterator[Text]:
    """Yield the lines of a text, broken between words only: a long word makes a long line."""
    if width is None or text.cell_len <= width:
        yield text
        return
    places, used = [], 0
    for word in _WORD.finditer(text.plain):
        if used and used + cell_len(word[0].rstrip()) > width:
            places.append(word.start())
            used = 0
        used += cell_len(word[0])
    for piece in text.divide(places):
        piece.rstrip()
        yield piece
