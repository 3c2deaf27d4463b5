"""Operations written out: what happens between the input and the output of a norm or a softmax.

A graph shows a norm as one operation, and its output says nothing about the squares inside it.
What a runtime does there differs, and changes between versions. ONNX Runtime and PyTorch keep a
norm's moments in fp32 whatever its input is; Core ML lowers some norms to fp16 subtractions,
squares and means, one by one. A plan serves them all, so this is the conservative reading: every
inner step is a value of its own, which has to fit in fp16 and is rounded to it.

Sums inside convolutions and matrix products are the exception: they are taken as accumulated in
fp32 and rounded once, as tensor cores and every CPU do.
"""

from __future__ import annotations

from typing import Any

from torch import fx

from .activations import ACTIVATIONS, TANH_GELU
from .norms import NORMS
from .steps import WrittenOut

__all__ = ["WHOLE", "find_written"]

_WRITTEN: dict[Any, WrittenOut] = {**ACTIVATIONS, **NORMS}

WHOLE = frozenset(_WRITTEN)
"""Operations that a trace must not take apart itself: here they are."""


def find_written(node: fx.Node) -> WrittenOut | None:
    """Return a node's operation as its steps; None where it is one step itself."""
    if node.kwargs.get("approximate") == "tanh":
        return TANH_GELU
    return _WRITTEN.get(node.target)
