"""Norms in operations that Core ML has, in place of coremltools' own steps.

coremltools writes a GroupNorm as subtractions, squares and means. In fp16 a square overflows from
255.9 on, its group becomes zero, and nothing says so. As an instance norm of reshaped groups it is
one operation, as `layer_norm` is, whose inside is the hardware's business. An RMSNorm is divided by
its largest value there, which makes NaN of zeros and changes epsilon; it is the layer norm of x
beside -x, whose mean is zero and whose variance is the mean square.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .tools import coremltools

__all__ = ["carry_norms"]

_FRONTEND = "coremltools.converters.mil.frontend.torch"

_FP32_EPS = float(np.finfo(np.float32).eps)
"""Epsilon of PyTorch's RMSNorm where a module names none."""


@contextlib.contextmanager
def carry_norms() -> Iterator[None]:
    """Convert norms by the functions of this file while the context lasts."""
    coremltools()
    ops = importlib.import_module(f"{_FRONTEND}.ops")
    register = importlib.import_module(_FRONTEND).register_torch_op
    own: tuple[Callable[[Any, Any], None], ...] = (group_norm, rms_norm)
    for convert in own:
        register(convert, override=True)
    try:
        yield
    finally:
        for convert in own:
            register(getattr(ops, convert.__name__), override=True)


def group_norm(context: Any, node: Any) -> None:
    """Convert ``aten::group_norm`` of ``[N, C, *D]``; coremltools finds it by its name."""
    mb = _builder()
    x, groups, weight, bias, epsilon = _inputs(context, node)[:5]
    grouped = mb.instance_norm(x=_group(mb, x, groups.val), epsilon=epsilon.val)
    symbolic = _is_symbolic(x.shape)
    y = mb.reshape(x=grouped, shape=mb.shape(x=x) if symbolic else list(x.shape))
    context.add(_apply_affine(mb, y, weight, bias, sides=len(x.shape) - 2), node.name)


def rms_norm(context: Any, node: Any) -> None:
    """Convert ``aten::rms_norm``; coremltools finds it by its name."""
    mb = _builder()
    x, shape, weight, epsilon = _inputs(context, node)
    normed = mb.layer_norm(
        x=mb.concat(values=[x, mb.mul(x=x, y=np.float32(-1))], axis=-1),
        axes=list(range(-len(shape.val), 0)),
        epsilon=_FP32_EPS if epsilon is None or epsilon.val is None else epsilon.val,
    )
    rank, length = len(x.shape), int(shape.val[-1])
    y = mb.slice_by_index(
        x=normed,
        begin=[0] * rank,
        end=[0] * (rank - 1) + [length],
        end_mask=[True] * (rank - 1) + [False],
    )
    context.add(_apply_affine(mb, y, weight, None, sides=0), node.name)


def _group(mb: Any, x: Any, groups: int) -> Any:
    """Return ``[N, G, values of a group]``, in two dimensions where they are known."""
    if _is_symbolic(x.shape):
        return mb.reshape(x=x, shape=[x.shape[0], groups, -1])
    *rows, columns = x.shape[1:]
    return mb.reshape(x=x, shape=[x.shape[0], groups, int(np.prod(rows)) // groups, columns])


def _apply_affine(mb: Any, x: Any, weight: Any, bias: Any, *, sides: int) -> Any:
    """Multiply and add values per channel, that ``sides`` dimensions follow."""
    shape = (-1, *(1 for _ in range(sides)))
    if weight is not None:
        x = mb.mul(x=x, y=weight.val.reshape(shape))
    return x if bias is None else mb.add(x=x, y=bias.val.reshape(shape))


def _is_symbolic(shape: tuple[Any, ...]) -> bool:
    return not all(isinstance(side, int | np.integer) for side in shape)


def _builder() -> Any:
    return importlib.import_module("coremltools.converters.mil").Builder


def _inputs(context: Any, node: Any) -> list[Any]:
    """Return a node's inputs; None for what was left out."""
    return [context[name] if name is not None else None for name in node.inputs]
