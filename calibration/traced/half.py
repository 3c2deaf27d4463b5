"""A true fp16 evaluator: every operation's result is rounded to fp16, also where a CPU would not.

ONNX Runtime's CPU provider computes most fp16 operations in fp32, and drops the casts between
neighbours: whether a value past 65504 becomes infinite there depends on what its optimiser did to
the graph. Here it becomes infinite, as on a GPU. The steps inside norms, softmax and GELU are
rounded too (:mod:`.inner`).
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, fx

from .steps import OUTPUT
from .trace import Op, Trace
from .walk import Walker

__all__ = ["FP16_MAX", "FP16_OVERFLOWS", "HalfWalker"]

FP16_MAX = float(torch.finfo(torch.float16).max)
"""The largest finite value: 65504."""

FP16_OVERFLOWS = 65520.0
"""Halfway to the next step after :data:`FP16_MAX`: from here on, rounding gives infinity."""


class HalfWalker(Walker):
    """Runs a model in fp16, all but the modules that a plan keeps."""

    def __init__(self, trace: Trace, wide: Collection[str]) -> None:
        """Take the kept modules: ``PrecisionPlan.list_wide``'s keys."""
        super().__init__(trace)
        self._wide = frozenset(wide)

    def convert_input(self, op: Op, source: fx.Node, value: Tensor) -> Tensor:
        """Cast at an island's border; weights are stored in their module's type."""
        return _round(value) if self._is_narrow(op) and not self._was_rounded(source) else value

    def convert_output(self, op: Op, value: Tensor) -> Tensor:
        """Round a result to its module's type."""
        return _round(value) if self._is_narrow(op) else value

    def _is_narrow(self, op: Op) -> bool:
        return op.unit is not None and op.unit not in self._wide

    def _was_rounded(self, node: fx.Node) -> bool:
        steps = self.trace.steps.get(node)
        return steps is not None and self._is_narrow(steps[OUTPUT])


def _round(value: Tensor) -> Tensor:
    return value.half().float()
