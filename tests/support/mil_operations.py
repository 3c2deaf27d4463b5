"""Single operations of the interpreter, and values to try them with."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import tinysr.runtime.mil.ops  # noqa: F401  enters the operations
from tinysr.runtime.mil.table import OPERATIONS

Array = NDArray[Any]
Case = dict[str, Any]
"""Inputs of an operation, by their MIL names."""

_RANDOM = np.random.default_rng(5)


def signed(*shape: int) -> Array:
    return _RANDOM.normal(0, 1.5, shape).astype(np.float32)


def within(low: float, high: float, *shape: int) -> Array:
    return _RANDOM.uniform(low, high, shape).astype(np.float32)


def whole(*shape: int, top: int = 5) -> Array:
    return _RANDOM.integers(-top, top, shape).astype(np.int32)


def flags(*shape: int) -> Array:
    return _RANDOM.random(shape) < 0.5


def compute_here(kind: str, inputs: dict[str, Any]) -> list[Array]:
    entry = OPERATIONS[kind]
    found = entry.function(
        **{
            name: convert(_tensor(inputs[name]))
            for name, convert in entry.converters.items()
            if inputs.get(name) is not None
        }
    )
    return [one.numpy() for one in (found if isinstance(found, tuple) else (found,))]


def _tensor(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_tensor(one) for one in value)
    return value if isinstance(value, str) else torch.from_numpy(np.array(value))


def name_case(value: object) -> str:
    return value if isinstance(value, str) else ""
