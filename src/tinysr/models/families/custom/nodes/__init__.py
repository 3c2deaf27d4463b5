"""Operators of ONNX as modules: one file for each kind."""

from collections.abc import Mapping

from . import activations, arithmetic, convolution, linear, norms, parts, pooling, resize, shapes
from .base import Call, Move, Node, Operator, Sizes, Value
from .sizes import SIZE_OPERATORS, compute_sizes, shape_sizes

__all__ = [
    "OPERATORS",
    "SIZE_OPERATORS",
    "Call",
    "Move",
    "Node",
    "Operator",
    "Sizes",
    "Value",
    "compute_sizes",
    "shape_sizes",
]

OPERATORS: Mapping[str, Operator] = {
    **activations.OPERATORS,
    **arithmetic.OPERATORS,
    **convolution.OPERATORS,
    **linear.OPERATORS,
    **norms.OPERATORS,
    **parts.OPERATORS,
    **pooling.OPERATORS,
    **resize.OPERATORS,
    **shapes.OPERATORS,
}
"""Operators that become modules, by their names in ONNX."""
