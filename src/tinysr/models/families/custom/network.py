"""The module that runs an ONNX graph: its nodes' modules, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray
from torch import Tensor, nn

from tinysr.errors import UnsupportedError

from .nodes import Call, Value, compute_sizes, shape_sizes

__all__ = ["Network", "Step", "Watch"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One node, in the order in which they run."""

    call: Call
    module: str
    """Name of its module; empty where it computes sizes alone, in plain numbers."""
    reads: tuple[str | NDArray[Any] | None, ...]
    """Names of the values that it reads; of sizes also constants, and None for what is absent."""
    gives: tuple[str, ...]
    drops: tuple[str, ...] = ()
    """Values that nobody reads after it."""


Watch = Callable[[Step, Sequence[Value], Sequence[Value]], None]
"""Function that is told of each step: what it read and what it gave."""


class Network(nn.Module):
    """An image-to-image network whose children are its nodes."""

    def __init__(
        self,
        modules: Iterable[tuple[str, nn.Module]],
        steps: Sequence[Step],
        ends: tuple[str, str],
    ) -> None:
        """Make it of its nodes.

        Args:
            modules: the nodes' modules by their names.
            steps: what runs, in order.
            ends: names of the values that come in and go out.
        """
        super().__init__()
        self.steps = tuple(steps)
        self.ends = ends
        for name, module in modules:
            self.add_module(name, module)

    def forward(self, x: Tensor, watch: Watch | None = None) -> Tensor:
        """Map ``[N, 3, H, W]`` to ``[N, 3, sH, sW]``, in the network's own range.

        Raises:
            UnsupportedError: a node can't be computed for this size; the message names it.
        """
        values: dict[str, Value] = {self.ends[0]: x}
        for step in self.steps:
            inputs = [values[one] if isinstance(one, str) else one for one in step.reads]
            outputs = self._run(step, inputs)
            if watch is not None:
                watch(step, [one for one in inputs if one is not None], outputs)
            values.update(zip(step.gives, outputs, strict=False))
            for name in step.drops:
                del values[name]
        result = values[self.ends[1]]
        if not isinstance(result, Tensor):
            raise UnsupportedError("the network's output is computed from sizes alone")
        return result

    def _run(self, step: Step, inputs: list[Value | None]) -> Sequence[Value]:
        if _is_traced(inputs):  # tracers raise errors of their own, and expect them back
            return self._compute(step, inputs)
        with step.call.guard():
            return self._compute(step, inputs)

    def _compute(self, step: Step, inputs: list[Value | None]) -> Sequence[Value]:
        if step.module:
            made = self.get_submodule(step.module)(*inputs)
            return made if isinstance(made, tuple) else (made,)
        if step.call.operator == "Shape":
            return [shape_sizes(step.call, inputs[0])]  # type: ignore[arg-type]
        return compute_sizes(step.call, inputs)  # type: ignore[arg-type]


def _is_traced(inputs: Sequence[Value | None]) -> bool:
    return any(type(one) is not Tensor for one in inputs if isinstance(one, Tensor))
