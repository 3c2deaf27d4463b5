"""Configs of families: plain data, read back and held within bounds.

A hostile config must not make anything allocate, so every number has bounds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from tinysr.errors import CheckpointError

__all__ = ["check_integer", "check_widths", "read_fields"]

_WIDEST = 2048
_MOST_LEVELS = 6

C = TypeVar("C")


def read_fields(kind: type[C], data: Mapping[str, Any]) -> C:
    """Return a config from plain data, lists for tuples or not.

    Args:
        kind: a dataclass, which checks its own values.
        data: a value for each of its fields.

    Raises:
        CheckpointError: a field is missing or unknown, or its value is refused.
    """
    names = {field.name for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if data.keys() != names:
        odd = ", ".join(sorted(str(name)[:40] for name in data.keys() ^ names)[:8])
        raise CheckpointError(
            f"the model config does not fit this version: expected {len(names)} fields, "
            f"missing or unknown: {odd}"
        )
    fields: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in data.items()
    }
    return kind(**fields)


def check_integer(name: str, value: object, low: int, high: int) -> None:
    """Refuse what is not an integer from ``low`` to ``high``.

    Raises:
        CheckpointError: it is so.
    """
    if type(value) is not int or not low <= value <= high:
        raise CheckpointError(f"{name} is {value!r:.80}, expected an integer from {low} to {high}")


def check_widths(name: str, widths: object, divisor: int, what: str) -> None:
    """Refuse what is not a short list of channels that a number divides.

    Args:
        name: of the field.
        widths: its value.
        divisor: what divides all of them.
        what: name of the divisor.

    Raises:
        CheckpointError: it is so.
    """
    if not isinstance(widths, tuple) or not 1 <= len(widths) <= _MOST_LEVELS:
        raise CheckpointError(
            f"{name} is {widths!r:.80}, expected a list of 1 to {_MOST_LEVELS} integers"
        )
    for width in widths:
        check_integer(name, width, 1, _WIDEST)
        if width % divisor:
            raise CheckpointError(f"{name} has {width}, expected what {what} divides ({divisor})")
