"""The form in which operations are written out: steps that are shown one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, fx

__all__ = ["OUTPUT", "Step", "WrittenOut"]

OUTPUT = ""
"""The label of an operation's own output, beside those of its inner steps."""

Step = Callable[[str, Tensor], Tensor]
"""Callback, called with the label and the value of every step; what it returns goes on to the
next."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenOut:
    """An operation as its steps."""

    name: str
    labels: tuple[str, ...]
    """Labels of the inner steps, in their order; the output comes after them."""
    compute: Callable[..., Any]
    """Function that computes the operation from a :data:`Step` and the operation's arguments."""
    affine: Mapping[int, str] = field(default_factory=dict)
    """Labels of further steps, by the position of the argument that asks for them: a norm's
    weight or bias."""

    def list_labels(self, node: fx.Node) -> tuple[str, ...]:
        """Return the labels of the steps that a node has, the output's last."""
        given = (
            label
            for place, label in self.affine.items()
            if place < len(node.args) and node.args[place] is not None
        )
        return (*self.labels, *given, OUTPUT)
