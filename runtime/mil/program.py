"""An ML program as data: functions of operations, whose values have declared types.

This is what a saved ``.mlpackage`` holds, without protobuf: everything the interpreter needs, and
nothing that is already computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Argument",
    "Block",
    "Constant",
    "Feature",
    "Function",
    "Operation",
    "Program",
    "TensorType",
    "Value",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorType:
    """The declared type of a value."""

    dtype: str
    """Type as MIL names it, in lower case: float16, int32, uint4, bool, string."""
    shape: tuple[int | None, ...]
    """None is a dimension that is known at run time."""

    def holds(self, shape: Sequence[int]) -> bool:
        """Say whether a value of this shape is of this type."""
        sides = zip(self.shape, shape, strict=False)
        return len(shape) == len(self.shape) and all(w is None or w == s for w, s in sides)

    def __str__(self) -> str:
        return f"{self.dtype} {['?' if side is None else side for side in self.shape]}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """A reference to a value by its name."""

    name: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Constant:
    """A value that stands in the file."""

    type: TensorType
    array: NDArray[Any] | str
    """Integers of fewer than 8 bits are unpacked, one to a byte."""


Argument = Value | Constant | tuple[Value | Constant, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """One operation: what it reads, and what it declares to give."""

    kind: str
    """Its name in MIL: conv, add, constexpr_lut_to_dense, …"""
    name: str
    inputs: Mapping[str, Argument]
    outputs: tuple[tuple[str, TensorType], ...]
    blocks: tuple[Block, ...] = ()
    """Blocks of control flow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """Operations in the order they run, and the names of the values that they are run for."""

    operations: tuple[Operation, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Feature:
    """An input or output as an app sees it."""

    name: str
    kind: str
    """image (RGB, 0 to 255, 8 bits in an app) or array."""
    dtype: str
    """Type of arrays, as the model describes it: float32, float16, int32. Of images: uint8."""
    shape: tuple[int, ...]
    """The default one. Of images: ``[1, 3, H, W]``."""
    shapes: tuple[tuple[int, ...], ...] = ()
    """All that can be chosen from; empty when there is no choice."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Function:
    """One function of a program."""

    name: str
    inputs: tuple[tuple[str, TensorType], ...]
    body: Block
    features: tuple[Feature, ...]
    """Inputs and outputs, as the model describes them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """All functions of a package."""

    functions: Mapping[str, Function]
    default: str
    """The function that an app gets when it names none."""
    metadata: Mapping[str, str]
    """Author, licence, description and what the exporter wrote."""


def bits(dtype: str) -> int:
    """Return the bits of one stored element."""
    digits = "".join(c for c in dtype if c.isdigit())
    return int(digits) if digits else 8


def storage(dtype: str) -> np.dtype[Any]:
    """Return the NumPy type that holds an element; of fewer than 8 bits, one to a byte."""
    if dtype == "bool":
        return np.dtype(np.bool_)
    if bits(dtype) < 8:
        return np.dtype(np.uint8 if dtype.startswith("u") else np.int8)
    return np.dtype(dtype)
