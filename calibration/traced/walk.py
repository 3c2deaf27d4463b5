"""Running a traced model operation by operation, and looking at, or changing, every value."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, fx

from .inner import find_written
from .steps import OUTPUT
from .trace import Op, Trace

__all__ = ["Walker"]


class Walker(fx.Interpreter):
    """Runs a trace in fp32. Subclasses say what happens to what is read and what is computed."""

    def __init__(self, trace: Trace) -> None:
        super().__init__(trace.graph)
        self.trace = trace

    def __call__(self, image: Tensor) -> Tensor:
        """Map an image ``[1, 3, T, T]`` in [0, 1] to ``[1, 3, 4T, 4T]``, unclamped."""
        with torch.inference_mode():
            (upscaled,) = self.run(*self.trace.constants, image)
        result: Tensor = upscaled
        return result

    def convert_input(self, op: Op, source: fx.Node, value: Tensor) -> Tensor:
        """Return a value as an operation reads it.

        Args:
            op: what reads it.
            source: the node that computed it, or a placeholder.
            value: floating-point.
        """
        return value

    def convert_output(self, op: Op, value: Tensor) -> Tensor:
        """Return a value as it goes on after it was computed."""
        return value

    def run_node(self, n: fx.Node) -> Any:
        """Run one node; called by :class:`torch.fx.Interpreter`."""
        steps = self.trace.steps.get(n)
        if steps is None:
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        args = tuple(
            self._read(steps[OUTPUT], node, value) for node, value in zip(n.args, args, strict=True)
        )
        written = find_written(n)
        if written is not None:
            return written.compute(partial(self._step, steps), *args, **kwargs)
        return self.convert_output(steps[OUTPUT], n.target(*args, **kwargs))  # type: ignore[operator]

    def _read(self, op: Op, node: Any, value: Any) -> Any:
        if isinstance(node, fx.Node) and isinstance(value, Tensor) and value.is_floating_point():
            return self.convert_input(op, self.trace.source(node), value)
        return value

    def _step(self, steps: Mapping[str, Op], label: str, value: Tensor) -> Tensor:
        return self.convert_output(steps[label], value)
