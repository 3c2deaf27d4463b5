"""Text with a style, made when it is needed: JSON needs none of rich."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from .encoding import make_plain

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["Part", "style_text"]


Part: TypeAlias = "str | Text"
"""A piece of a line. Nothing in it is markup, so a name can't be mistaken for any."""


def style_text(text: str, style: str) -> Text:
    """Return a piece of a line in a style, such as ``bold red``."""
    from rich.text import Text  # noqa: PLC0415  JSON needs none of it

    return Text(make_plain(text), style)
