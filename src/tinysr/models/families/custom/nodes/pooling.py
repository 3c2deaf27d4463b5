"""Pooling and reductions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .base import Call, Node, Operator, read_integers
from .convolution import FixedPad, read_pads

__all__ = ["OPERATORS", "Pool", "Reduce"]

_REDUCTIONS: Mapping[str, Callable[..., Tensor]] = {
    "GlobalAveragePool": torch.mean,
    "GlobalMaxPool": torch.amax,
    "ReduceL1": lambda x, axes, *, keepdim: x.abs().sum(axes, keepdim=keepdim),
    "ReduceL2": lambda x, axes, *, keepdim: x.square().sum(axes, keepdim=keepdim).sqrt(),
    "ReduceMax": torch.amax,
    "ReduceMean": torch.mean,
    "ReduceMin": torch.amin,
    "ReduceSum": torch.sum,
    "ReduceSumSquare": lambda x, axes, *, keepdim: x.square().sum(axes, keepdim=keepdim),
}


class Pool(Node):
    """A largest value or a mean of each window of an image."""

    def __init__(
        self,
        function: Callable[..., Tensor],
        kernel: tuple[int, int],
        strides: tuple[int, int],
        padding: tuple[int, int] = (0, 0),
        dilation: tuple[int, int] = (1, 1),
    ) -> None:
        super().__init__()
        self.function = function
        self.kernel_size, self.stride, self.padding, self.dilation = (
            kernel,
            strides,
            padding,
            dilation,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, C, H, W]`` to ``[N, C, H', W']``."""
        x = self.cast_input(x)
        if self.dilation != (1, 1):
            return F.max_pool2d(x, self.kernel_size, self.stride, self.padding, self.dilation)
        return self.function(x, self.kernel_size, self.stride, self.padding)


class Reduce(Node):
    """A reduction over axes; over all of them where none are named."""

    def __init__(self, operator: str, axes: tuple[int, ...] | None, *, keep: bool) -> None:
        super().__init__()
        self.operator, self.axes, self.keep = operator, axes, keep

    def forward(self, x: Tensor) -> Tensor:
        """Reduce the axes, which stay with a length of one if they are kept."""
        axes = tuple(range(x.ndim)) if self.axes is None else self.axes
        return _REDUCTIONS[self.operator](self.cast_input(x), axes, keepdim=self.keep)


def _make_pool(call: Call) -> nn.Module:
    mean = call.operator == "AveragePool"
    call.expect(ceil_mode=0, storage_order=0)
    if mean:
        call.expect(dilations=[1, 1])
    kernel = tuple(call.attributes.get("kernel_shape", ()))
    if len(kernel) != 2 or not all(1 <= side < 2**12 for side in kernel):
        raise call.refuse(f"kernel_shape is {kernel!r:.60}, expected two sides")
    left, right, above, below = read_pads(call, kernel)
    strides = tuple(call.attributes.get("strides", (1, 1)))
    if mean and any((left, right, above, below)) and not call.attributes.get("count_include_pad"):
        if (left, above) != (right, below):
            raise call.refuse("pads differ from side to side: export with count_include_pad=1")
        return Pool(_average_inside, kernel, strides, (above, left))
    function: Callable[..., Tensor] = F.avg_pool2d if mean else F.max_pool2d
    dilation = tuple(call.attributes.get("dilations", (1, 1)))
    pool = Pool(function, kernel, strides, dilation=dilation)
    if not any((left, right, above, below)):
        return pool
    pad = FixedPad((left, right, above, below), 0.0 if mean else float("-inf"))
    return nn.Sequential(pad, pool)


def _average_inside(
    x: Tensor, kernel: tuple[int, int], strides: tuple[int, int], padding: tuple[int, int]
) -> Tensor:
    return F.avg_pool2d(x, kernel, strides, padding, count_include_pad=False)


def _make_reduce(call: Call) -> nn.Module:
    if call.operator.startswith("Global"):
        return Reduce(call.operator, (2, 3), keep=True)
    keep = bool(call.attributes.get("keepdims", 1))
    found = call.constant(1)
    axes = call.attributes.get("axes") if found is None else read_integers(found)
    if not axes and call.attributes.get("noop_with_empty_axes", 0):
        raise call.refuse("no axes, and noop_with_empty_axes: leave the node out")
    return Reduce(call.operator, tuple(axes) if axes else None, keep=keep)


_POOL = ("auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "strides")
_REDUCE = ("axes", "keepdims", "noop_with_empty_axes")

OPERATORS: Mapping[str, Operator] = {
    "AveragePool": Operator(make=_make_pool, attributes=(*_POOL, "count_include_pad")),
    "MaxPool": Operator(make=_make_pool, attributes=(*_POOL, "storage_order")),
    **{
        name: Operator(make=_make_reduce, attributes=() if name.startswith("Global") else _REDUCE)
        for name in _REDUCTIONS
    },
}
"""Operators by their names in ONNX."""
