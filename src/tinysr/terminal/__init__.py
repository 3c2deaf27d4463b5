"""Printed output: in any encoding, at any width, and whatever becomes of the stream.

Programs begin with :func:`program`, print through :class:`Output`, and lay out rows as a
:class:`Table`. Nothing else writes to standard output or error, except the bytes of an image.
"""

from .children import run_child
from .encoding import degrade_text, make_plain
from .output import Output
from .program import program, run_program
from .styled import Part, style_text
from .tables import Column, Table

__all__ = [
    "Column",
    "Output",
    "Part",
    "Table",
    "degrade_text",
    "make_plain",
    "program",
    "run_child",
    "run_program",
    "style_text",
]
