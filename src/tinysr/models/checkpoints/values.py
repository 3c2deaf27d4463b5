"""Values of diffusers' configs: what a model can express, or an error that names the value."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinysr.errors import CheckpointError

__all__ = ["expect", "read_integer", "read_integers"]


def expect(config: Mapping[str, Any], path: Path, **values: Any) -> None:
    """Refuse a config that states another value than the one the model can express."""
    for name, value in values.items():
        found = config.get(name)
        if found is not None and found != value and not (value == () and found == []):
            raise CheckpointError(f"{path}: {name} is {found!r:.80}, only {value!r} is supported")


def read_integer(config: Mapping[str, Any], name: str, path: Path) -> int:
    """Return a positive integer; how large it may be is checked with the whole config."""
    value = config.get(name)
    if type(value) is not int or not 0 < value < 2**16:
        raise CheckpointError(f"{path}: {name} is {value!r:.80}, expected a positive integer")
    return value


def read_integers(config: Mapping[str, Any], name: str, path: Path) -> tuple[int, ...]:
    """Return a list; what it holds is checked with the whole config."""
    value = config.get(name)
    if not isinstance(value, list):
        raise CheckpointError(f"{path}: {name} is {value!r:.80}, expected a list of integers")
    return tuple(value)
