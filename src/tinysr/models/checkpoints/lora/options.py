"""Values of a LoRA's options: as JSON has them, or as texts in the metadata of a file."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping

__all__ = [
    "OptionError",
    "is_off",
    "is_stated",
    "read_number",
    "read_numbers",
    "read_object",
    "read_truth",
    "read_whole_number",
    "show_value",
]

_OFF = frozenset({"", "0", "false", "no", "none", "null", "{}", "[]"})
_ON = frozenset({"1", "true", "yes"})
_MAX_NAMES = 10_000


class OptionError(ValueError):
    """A value that is not understood; the words say what was expected and what was found."""


def is_off(value: object) -> bool:
    """Tell a value that asks for nothing, as a text or not: ``False``, ``None``, ``{}``, 0."""
    return value.strip().lower() in _OFF if isinstance(value, str) else not value


def is_stated(value: object) -> bool:
    """Tell a number that is given, even if it is 0, from one that is left open."""
    if isinstance(value, str):
        return value.strip().lower() not in {"", "none", "null"}
    return value is not None


def read_truth(option: str, value: object) -> bool:
    """Return true or false of an option's value, as a text or not.

    Raises:
        OptionError: it is neither.
    """
    if is_off(value):
        return False
    if value is True or value == 1 or (isinstance(value, str) and value.strip().lower() in _ON):
        return True
    raise OptionError(f"'{option}' is {show_value(value)}, expected true or false")


def read_number(option: str, value: object) -> float:
    """Return a positive number, as a text or not.

    Raises:
        OptionError: it is not one: a strength of nothing, or against what was trained, is a fault.
    """
    found = math.nan
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            found = float(value)
    if not math.isfinite(found) or found <= 0:
        raise OptionError(f"{option[:200]!r} is {show_value(value)}, not a number above 0")
    return found


def read_whole_number(option: str, value: object) -> int:
    """Return a positive integer, as a text or not.

    Raises:
        OptionError: it is not one.
    """
    found = read_number(option, value)
    if found != int(found):
        raise OptionError(f"'{option}' is {show_value(value)}, not a whole number")
    return int(found)


def read_numbers(option: str, value: object) -> dict[str, float]:
    """Return positive numbers by the names of modules, in order; an object, or its JSON.

    Raises:
        OptionError: it is not such an object, or a huge one.
    """
    found = {} if is_off(value) else read_object(option, value)
    if len(found) > _MAX_NAMES:
        raise OptionError(f"'{option}' has {len(found)} names, expected {_MAX_NAMES} at most")
    return {str(name): read_number(f"{option}.{name}", stated) for name, stated in found.items()}


def read_object(option: str, value: object) -> Mapping[str, object]:
    """Return an object, or the one that a text in JSON holds.

    Raises:
        OptionError: it is neither.
    """
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except (ValueError, RecursionError) as error:
        raise OptionError(f"'{option}' is {show_value(value)}, not JSON") from error
    if not isinstance(found, Mapping):
        raise OptionError(f"'{option}' is {show_value(found)}, not an object in JSON")
    return found


def show_value(value: object) -> str:
    """Return a value as a message shows it: hostile ones have no end, or nest."""
    if isinstance(value, str):
        return repr(value[:60])
    if isinstance(value, int):
        return str(value) if abs(value) < 10**18 else "a huge number"
    return f"a {type(value).__name__}" if isinstance(value, list | dict) else str(value)
