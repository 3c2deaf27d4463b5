"""Outputs of any encoding and width, for what is printed to them in this process."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest

__all__ = ["ENCODINGS", "WIDTHS", "Screen", "shown", "words"]

ENCODINGS = ("ascii", "cp1252", "latin-1", "utf-8")

WIDTHS = (40, 60, 80, 200)
"""Columns of terminals; None is an output that is none."""

_RULE = re.compile(r"[─-]+")


class Screen(io.TextIOWrapper):
    """A terminal of some columns, or a file."""

    def __init__(self, encoding: str, width: int | None) -> None:
        super().__init__(io.BytesIO(), encoding=encoding, newline="\n")
        self.columns = width

    def isatty(self) -> bool:
        return self.columns is not None

    def fileno(self) -> int:
        raise OSError("not the system's")

    @property
    def text(self) -> str:
        """What was printed."""
        self.flush()
        buffer = self.buffer
        assert isinstance(buffer, io.BytesIO)
        return buffer.getvalue().decode(self.encoding)


def shown(
    monkeypatch: pytest.MonkeyPatch,
    printing: Callable[[], object],
    *,
    encoding: str = "utf-8",
    width: int | None = None,
) -> str:
    """Return what is printed on standard output of an encoding and width."""
    from tinysr.terminal import streams

    screen = Screen(encoding, width)
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", screen)
        patch.setenv("LINES", "25")
        patch.setenv("TERM", "dumb")  # without the commands that give colours
        patch.delenv("FORCE_COLOR", raising=False)
        if width is None:
            patch.delenv("COLUMNS", raising=False)
        else:
            patch.setenv("COLUMNS", str(width))
        streams.prepare()
        printing()
        return screen.text


def words(text: str) -> list[str]:
    """Return the words of a text, without rules, and without the colons of blocks."""
    found = (word.removesuffix(":") for word in text.split())
    return [word for word in found if not _RULE.fullmatch(word) or word == "-"]
