"""The table of operations: MIL name → the function that computes it.

A function takes the operation's inputs by their MIL names. Its annotations say how it wants them:
``Tensor`` as they come, ``int``, ``float``, ``bool``, ``str`` and lists of them as Python values.
Defaults are MIL's. Half-precision tensors arrive in fp32, exactly; the interpreter rounds what
comes back to the declared type. So an operation is computed once, in fp32, and rounded once.
What only moves or compares values, and arithmetic that PyTorch rounds correctly in fp16 itself, is
entered as ``narrow``: it keeps the type in which values come, and gives the same.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from types import NoneType, UnionType
from typing import Any, TypeVar

import torch
from torch import Tensor

__all__ = ["OPERATIONS", "Entry", "op"]

Converter = Callable[[Any], Any]
F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An operation that can be computed."""

    function: Callable[..., Any]
    converters: dict[str, Converter]
    required: frozenset[str]
    narrow: bool
    """Values keep the type in which they come; nothing is computed in fp32."""


OPERATIONS: dict[str, Entry] = {}


def op(*names: str, narrow: bool = False) -> Callable[[F], F]:
    """Enter a function into the table under its MIL names."""

    def register(function: F) -> F:
        hints = typing.get_type_hints(function)
        parameters = inspect.signature(function).parameters.values()
        entry = Entry(
            function=function,
            converters={p.name: _converter(hints[p.name]) for p in parameters},
            required=frozenset(p.name for p in parameters if p.default is inspect.Parameter.empty),
            narrow=narrow,
        )
        for name in names:
            if name in OPERATIONS:
                raise ValueError(f"the operation '{name}' is in the table twice")
            OPERATIONS[name] = entry
        return function

    return register


def _converter(hint: Any) -> Converter:
    if isinstance(hint, UnionType):
        (hint,) = (part for part in typing.get_args(hint) if part is not NoneType)
    return _CONVERTERS[hint]


def _tensors(value: Any) -> list[Tensor]:
    return list(value) if isinstance(value, tuple) else [value]


def _scalar(value: Any) -> Any:
    return value.item() if isinstance(value, Tensor) else value


_CONVERTERS: dict[Any, Converter] = {
    Tensor: lambda value: value,
    list[Tensor]: _tensors,
    int: lambda value: int(_scalar(value)),
    float: lambda value: float(_scalar(value)),
    bool: lambda value: bool(_scalar(value)),
    str: str,
    list[int]: lambda value: [int(v) for v in value.reshape(-1).tolist()],
    list[float]: lambda value: [float(v) for v in value.reshape(-1).tolist()],
    list[bool]: lambda value: [bool(v) for v in value.reshape(-1).tolist()],
    torch.dtype: lambda value: value,
}
