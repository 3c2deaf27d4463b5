"""Configs of families: plain data, read back and held within bounds.

A hostile config must not make anything allocate, so every number has bounds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, get_type_hints

from tinysr.errors import CheckpointError

__all__ = ["check_integer", "check_integers", "check_number", "check_widths", "read_fields"]

_WIDEST = 2048
_MOST_LEVELS = 6

C = TypeVar("C")


def read_fields(kind: type[C], data: object, name: str = "the model config") -> C:
    """Return a config from plain data, lists for tuples or not.

    Args:
        kind: a dataclass, which checks its own values; its fields may be of such classes too.
        data: a value for each of its fields.
        name: of the data, for messages.

    Raises:
        CheckpointError: it is no object, a field is missing or unknown, or its value is refused.
    """
    if not isinstance(data, Mapping):
        raise CheckpointError(f"{name} is {data!r:.80}, expected an object")
    kinds = get_type_hints(kind)
    if data.keys() != kinds.keys():
        odd = ", ".join(sorted(str(key)[:40] for key in data.keys() ^ kinds.keys())[:8])
        raise CheckpointError(
            f"{name} does not fit this version: expected {len(kinds)} fields, missing or unknown: "
            f"{odd}"
        )
    fields: dict[str, Any] = {
        key: read_fields(kinds[key], value, key)
        if dataclasses.is_dataclass(kinds[key])
        else _freeze(value)
        for key, value in data.items()
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


def check_integers(
    name: str, values: object, counts: tuple[int, int], bounds: tuple[int, int]
) -> None:
    """Refuse what is not a list of integers.

    Args:
        name: of the field.
        values: its value.
        counts: the least and the most integers.
        bounds: the smallest and the largest.

    Raises:
        CheckpointError: it is so.
    """
    low, high = counts
    if not isinstance(values, tuple) or not low <= len(values) <= high:
        number = low if low == high else f"{low} to {high}"
        raise CheckpointError(f"{name} is {values!r:.80}, expected a list of {number} integers")
    for value in values:
        check_integer(name, value, *bounds)


def check_number(name: str, value: object, low: float, high: float) -> None:
    """Refuse what is not a number from ``low`` to ``high``; NaN is in no range.

    Raises:
        CheckpointError: it is so.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise CheckpointError(
            f"{name} is {value!r:.80}, expected a number from {low:g} to {high:g}"
        )


def _freeze(value: object) -> Any:
    """Return lists as tuples, and the lists in them."""
    return tuple(map(_freeze, value)) if isinstance(value, list) else value
