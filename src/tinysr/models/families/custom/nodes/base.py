"""Base classes of the modules that an ONNX graph's nodes become, and what they are made from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tinysr.errors import UnsupportedError
from tinysr.models.typed import Typed

__all__ = [
    "FAILURES",
    "Call",
    "Move",
    "Node",
    "Operator",
    "Sizes",
    "Value",
    "list_sizes",
    "read_integers",
    "to_tensor",
]

Sizes = NDArray[Any]
"""Integers or floats that the graph computes of shapes, as an array of objects: tracing may put
symbols in their place."""

Value = Tensor | Sizes
"""Value of a node: a tensor, or sizes."""


class Node(Typed):
    """A node that computes, in one type: what it reads is cast."""


class Move(nn.Module):
    """A node that moves values, or keeps some of them, in whatever type they come."""


FAILURES = (
    *(ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, StopIteration),
    *(TypeError, ValueError),
)
"""Errors of PyTorch and NumPy about values that don't fit an operator."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One node of an ONNX graph, as an operator is told of it."""

    name: str
    """Name of the node, for messages."""
    operator: str
    opset: int
    attributes: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[bool, ...] = ()
    """Whether there is an input, for each place."""
    constants: Mapping[int, NDArray[Any]] = field(default_factory=dict)
    """Inputs that are constant, by their places."""
    outputs: int = 1

    def constant(self, place: int) -> NDArray[Any] | None:
        """Return a constant input; None where there is none at all.

        Raises:
            UnsupportedError: it is computed from the image.
        """
        if place >= len(self.inputs) or not self.inputs[place]:
            return None
        if place not in self.constants:
            raise self.refuse(f"input {place} is computed from the image, expected a constant")
        return self.constants[place]

    def require(self, place: int) -> NDArray[Any]:
        """Return a constant input that must be there; raises as :meth:`constant`."""
        found = self.constant(place)
        if found is None:
            raise self.refuse(f"input {place} is missing")
        return found

    def expect(self, **values: Any) -> None:
        """Refuse attributes with another value than the one that can be expressed.

        Raises:
            UnsupportedError: one has another.
        """
        for name, value in values.items():
            found = self.attributes.get(name, value)
            if found != value:
                raise self.refuse(f"{name} is {found!r:.60}, only {value!r} is supported")

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Turn PyTorch's and NumPy's errors about values that don't fit into a refusal."""
        try:
            yield
        except FAILURES as error:
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            plain = "".join(letter for letter in first if letter.isprintable())
            raise self.refuse(f"can't be computed: {plain:.200}") from error

    def refuse(self, reason: str) -> UnsupportedError:
        """Return the error for a node that can't be expressed."""
        return UnsupportedError(f"node '{self.name:.80}' ({self.operator}): {reason}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Operator:
    """An operator of ONNX that can be read."""

    make: Callable[[Call], nn.Module]
    """Function that makes a node's module; its `forward` takes the inputs that are left: those
    that are not constant, in their order."""
    attributes: Collection[str] = ()
    """Names of the attributes that it may have."""
    outputs: int = 1
    """Largest number of outputs."""


def to_tensor(array: NDArray[Any]) -> Tensor:
    """Return a constant as a tensor: floats in fp32, integers and masks as they are."""
    if array.dtype.kind == "f":
        array = array.astype(np.float32)
    return torch.from_numpy(np.array(array, order="C"))


def read_integers(values: NDArray[Any]) -> tuple[int, ...]:
    """Return a constant's integers."""
    return tuple(int(value) for value in values.reshape(-1))


def list_sizes(value: Value) -> tuple[Any, ...]:
    """Return sizes one by one.

    Raises:
        TypeError: they are pixels.
    """
    if isinstance(value, Tensor):
        raise TypeError("expected sizes, found pixels")
    return tuple(value.reshape(-1))
