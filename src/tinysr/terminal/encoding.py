"""Text for outputs that can't encode all of it: Windows' files, the C locale, old terminals."""

from __future__ import annotations

import codecs

__all__ = ["ERRORS", "degrade_text", "make_plain"]

ERRORS = "tinysr.degrade"
"""Name of the error handler: a character that an encoding lacks becomes ASCII."""

_SAME = {
    "→": "->",
    "←": "<-",
    "×": "x",
    "±": "+/-",
    "…": "...",
    "–": "-",
    "—": "--",
    "−": "-",
    "·": "-",
    "•": "*",
    "✓": "+",
    "✗": "x",
    "≤": "<=",
    "≥": ">=",
    "≈": "~",
    "µ": "u",
    "μ": "u",
    "²": "^2",
    "³": "^3",
    "⁶": "^6",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "\N{NO-BREAK SPACE}": " ",
}
"""Replacements that mean the same in ASCII."""

_ACROSS, _DOWN = "─━┄┅┈┉╌╍═╴╶╸╺╼╾", "│┃┆┇┊┋╎╏║╵╷╹╻╽╿"
_BOXES, _BLOCKS, _BRAILLE = range(0x2500, 0x2580), range(0x2580, 0x25A0), range(0x2800, 0x2900)


def degrade_text(text: str, encoding: str | None) -> str:
    """Return a text as it will stand in an output of that encoding; None is UTF-8."""
    return text.encode(encoding or "utf-8", ERRORS).decode(encoding or "utf-8")


def make_plain(text: str) -> str:
    """Return text in one line that no terminal takes for commands, whatever files are called."""
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _degrade(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_to_ascii, error.object[error.start : error.end])), error.end


def _to_ascii(character: str) -> str:
    point = ord(character)
    if point in _BOXES:
        return "-" if character in _ACROSS else "|" if character in _DOWN else "+"
    if point in _BLOCKS:
        return "#"
    if point in _BRAILLE:  # of spinners
        return "*"
    return _SAME.get(character) or _escape(character)


def _escape(character: str) -> str:
    """Return a character as Python writes it; bytes of names that are no text, as in our JSON."""
    return character.encode("unicode_escape").decode()


codecs.register_error(ERRORS, _degrade)
