"""Output: lines, tables and JSON, on standard output or error."""

from __future__ import annotations

import json
import math
import os
import sys
from typing import TYPE_CHECKING, Any, TextIO

from .encoding import degrade_text, make_plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from .tables import Table

from tinysr.terminal.styled import Part

__all__ = ["Output", "json_text", "width_of"]


class Output:
    """Standard output, or error, as people and programs read it.

    On a terminal, lines break between words at its width; a word, and so a number, a path or a
    hash, never breaks. Elsewhere a line is as long as it needs.
    """

    def __init__(self, *, error: bool = False) -> None:
        self.error = error
        self._console: Console | None = None

    @property
    def file(self) -> TextIO:
        """The stream as it is now."""
        return sys.stderr if self.error else sys.stdout

    @property
    def width(self) -> int | None:
        """Columns that a table may take; None where it may take any number."""
        return width_of(self.file)

    @property
    def console(self) -> Console:
        """Console that draws styles and bars."""
        if self._console is None:
            from .console import ENDLESS, make_console  # noqa: PLC0415  JSON needs none of it

            # A terminal may become wider or narrower meanwhile: rich looks at it again.
            width = None if self.file.isatty() else self.width or ENDLESS
            self._console = make_console(width, error=self.error)
        return self._console

    def line(self, *parts: Part, wrap: bool = True) -> None:
        """Print one line; without ``wrap``, a terminal breaks it where it likes."""
        from rich.text import Text  # noqa: PLC0415

        from .layout import wrap_text  # noqa: PLC0415

        cleaned = (part if isinstance(part, Text) else make_plain(part) for part in parts)
        width = self.width if wrap and self.file.isatty() else None
        for text in wrap_text(Text.assemble(*cleaned), width):
            self._print(text)

    def table(self, table: Table) -> None:
        """Print rows side by side where they fit, and one below the other where they don't."""
        from .layout import table_lines  # noqa: PLC0415

        for text in table_lines(table, self.console, self.width):
            self._print(text)

    def write(self, text: str) -> None:
        """Print text of many lines, such as Markdown, as it is."""
        self.file.write(text if text.endswith("\n") else f"{text}\n")
        self.file.flush()

    def json(self, data: Any) -> None:
        """Print one JSON value in ASCII, which every encoding and every reader takes."""
        self.write(json_text(data))

    def degrade(self, text: str) -> str:
        """Return a text as it will stand in this output's encoding."""
        return degrade_text(text, self.file.encoding)

    def _print(self, text: Text) -> None:
        self.console.print(text, soft_wrap=True)


def width_of(file: TextIO) -> int | None:
    """Return the columns that ``COLUMNS`` or a file's terminal has; None if neither has any."""
    asked = os.environ.get("COLUMNS", "")
    if asked.isdecimal() and int(asked) > 0:
        return int(asked)
    try:
        return os.get_terminal_size(file.fileno()).columns or None
    except (OSError, ValueError, AttributeError):
        return None


def json_text(data: Any) -> str:
    """Return JSON in ASCII; JSON has no infinity and no NaN, which become null."""
    return json.dumps(_make_finite(data), indent=2, allow_nan=False)


def _make_finite(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _make_finite(value) for key, value in data.items()}
    if isinstance(data, (list, tuple)):
        return [_make_finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
