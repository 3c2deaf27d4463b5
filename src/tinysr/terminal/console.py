"""The console of the package rich, as this project wants it."""

from __future__ import annotations

from rich.console import Console

__all__ = ["ENDLESS", "make_console"]

ENDLESS = 2**15
"""Columns of an output that has no width; nothing that is drawn fills it."""


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the program, which ends as all do; rich's own ends with 1."""
        raise  # noqa: PLE0704  called where the error is handled


def make_console(width: int | None, *, error: bool) -> Console:
    """Return a console that adds nothing to a text: no markup, no emoji, no highlights.

    Args:
        width: in columns; None is the terminal's at any time.
        error: whether it is standard error's.
    """
    return _Console(
        # Named by its role, so that a bar may put itself between program and terminal.
        stderr=error,
        width=width,
        highlight=False,
        markup=False,
        emoji=False,
    )
