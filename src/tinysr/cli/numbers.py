"""Numbers on the command line: each kind once, so that every option refuses what makes no sense.

NaN and infinity are numbers to Python, and pass any comparison that is not written for them.
"""

from __future__ import annotations

import math
from typing import Any, Generic, TypeVar

import typer

__all__ = [
    "COUNT",
    "MEGABYTES",
    "MEGAPIXELS",
    "MILLISECONDS",
    "SCALE",
    "SECONDS",
    "SEED",
    "SIDE",
    "THREADS",
    "TIMES",
    "TRIES",
    "WHOLE",
    "Number",
    "number_option",
]

N = TypeVar("N", int, float)


class Number(Generic[N]):
    """A kind of number: what an option takes, and what it says of all else."""

    def __init__(
        self,
        kind: type[N],
        *,
        least: N | None = None,
        above: N | None = None,
        most: N | None = None,
        step: int | None = None,
    ) -> None:
        """Set the range.

        Args:
            kind: int or float.
            least: smallest value that is taken.
            above: value that every other one is above, in place of ``least``.
            most: largest value that is taken.
            step: whole numbers are multiples of it.
        """
        self.kind: type[N] = kind
        self.least: N | None = least
        self.above: N | None = above
        self.most: N | None = most
        self.step = step

    def __call__(self, value: Any) -> N:
        """Return the number that was typed.

        Raises:
            typer.BadParameter: it is none, not finite, or outside the range; the option is named
                by typer.
        """
        try:
            number = self.kind(value)
        except (ValueError, OverflowError):
            raise typer.BadParameter(f"expected {self}, found '{value}'") from None
        if not self._fits(number):
            raise typer.BadParameter(f"expected {self}, found {value}")
        return number

    def __str__(self) -> str:
        words = "a whole number" if self.kind is int else "a number"
        if self.step is not None:
            words = f"a multiple of {self.step}"
        if self.above is not None:
            words += f" above {self.above:g}"
        if self.least is not None and self.most is not None:
            return f"{words} from {self.least:g} to {self.most:g}"
        if self.least is not None:
            words += f" of at least {self.least:g}"
        return words

    def _fits(self, number: N) -> bool:
        return (
            math.isfinite(number)
            and (self.least is None or number >= self.least)
            and (self.above is None or number > self.above)
            and (self.most is None or number <= self.most)
            and (self.step is None or number % self.step == 0)
        )


MEGAPIXELS = Number(float, above=0.0)
MEGABYTES = Number(float, above=0.0)
MILLISECONDS = Number(float, above=0.0)
SECONDS = Number(float, least=0.0)
TIMES = Number(float, above=0.0)
SCALE = Number(float, least=0.1, most=16.0)
"""A test compares it with :data:`tinysr.runtime.SCALES`, which takes too long to import here."""
COUNT = Number(int, least=1)
WHOLE = Number(int, least=0)
THREADS = Number(int, least=1, most=1024)
SEED = Number(int, least=0, most=2**32 - 1)
TRIES = Number(int, least=0, most=5)
SIDE = Number(int, least=16, step=4)
"""Side of a tile in low-resolution pixels: tokens are 4 pixels wide."""


def number_option(*names: str, kind: Number[Any], text: str, **more: Any) -> Any:
    """Return typer's option for a number of this kind."""
    return typer.Option(*names, parser=kind, help=text, **more)
