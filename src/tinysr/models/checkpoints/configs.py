"""Configs of families, from plain data, within bounds: a hostile one makes nothing allocate."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar, get_type_hints

from tinysr.errors import CheckpointError

__all__ = ["check_integer", "check_integers", "check_number", "make_config"]

C = TypeVar("C")


def make_config(kind: type[C], data: object, name: str = "the model config") -> C:
    """Return a config of what ``dataclasses.asdict`` gave, lists for tuples or not.

    Args:
        kind: a dataclass, whose fields may be of dataclasses.
        data: as JSON has it.
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
    fields = {
        key: make_config(kinds[key], value, key)
        if dataclasses.is_dataclass(kinds[key])
        else _freeze(value)
        for key, value in data.items()
    }
    return kind(**fields)


def check_integer(name: str, value: object, low: int, high: int) -> None:
    """Refuse what is not an integer from ``low`` to ``high``.

    Raises:
        CheckpointError: it is not.
    """
    if type(value) is not int or not low <= value <= high:
        raise CheckpointError(f"{name} is {value!r:.80}, expected an integer from {low} to {high}")


def check_integers(
    name: str, values: object, counts: tuple[int, int], bounds: tuple[int, int]
) -> None:
    """Refuse what is not a list of integers.

    Args:
        name: of the list, for messages.
        values: the list.
        counts: the least and the most integers.
        bounds: the smallest and the largest.

    Raises:
        CheckpointError: it is not.
    """
    low, high = counts
    if not isinstance(values, tuple) or not low <= len(values) <= high:
        number = low if low == high else f"{low} to {high}"
        raise CheckpointError(f"{name} is {values!r:.80}, expected a list of {number} integers")
    for value in values:
        check_integer(name, value, *bounds)


def check_number(name: str, value: object, low: float, high: float) -> None:
    """Refuse what is not a finite number from ``low`` to ``high``.

    Raises:
        CheckpointError: it is not.
    """
    # NaN is in no range.
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise CheckpointError(
            f"{name} is {value!r:.80}, expected a number from {low:g} to {high:g}"
        )


def _freeze(value: object) -> Any:
    return tuple(map(_freeze, value)) if isinstance(value, list) else value
