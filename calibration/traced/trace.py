"""The baked model as a list of operations, each with the module that it belongs to."""

from __future__ import annotations

import operator
import warnings
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.export.graph_signature import InputKind

from tinysr.export.model.baked import Baked
from tinysr.export.model.typed import find_units

from .inner import OUTPUT, WRITTEN_OUT

__all__ = ["Op", "Trace", "trace"]

_ATEN = torch.ops.aten

_SOFTMAX = _ATEN._softmax.default

_MOVES: frozenset[Any] = frozenset(
    {
        operator.getitem,
        _ATEN.clone.default,
        _ATEN.expand.default,
        _ATEN.index.Tensor,
        _ATEN.permute.default,
        _ATEN.split_with_sizes.default,
        _ATEN.upsample_nearest2d.vec,
        _ATEN.view.default,
    }
)
"""Operations that only move values: nothing is measured, and nothing is rounded."""

_ANY_TYPE: frozenset[Any] = frozenset({_ATEN.relu.default})
"""Operations that compute in whatever type their input comes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Op:
    """One computed value: an operation's output, or a step inside it."""

    name: str
    """``module:operation``, with ``.step`` for one inside; unique."""
    module: str
    """The dotted path of the module whose forward computes it."""
    unit: str | None
    """The module whose type it is computed in: one that a plan can keep. None for what takes
    values in the type they come in, and for what lies between the stages, in fp32."""
    reads: tuple[str, ...]
    """Names of the operations whose values it reads, through whatever moves them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """A graph that can be run operation by operation (:class:`~.walk.Walker`)."""

    graph: fx.GraphModule
    constants: tuple[Tensor, ...]
    """Parameters and buffers: the graph's inputs, all but the last, which is the image."""
    ops: tuple[Op, ...]
    """Operations in the order in which they are computed."""
    steps: Mapping[fx.Node, Mapping[str, Op]]
    """The operations of each node, by the label of the step."""
    units: tuple[str, ...]
    """The modules that a plan can keep, in the model's order."""

    def source(self, node: fx.Node) -> fx.Node:
        """Return the node that computed what a node has."""
        while node.op == "call_function" and node not in self.steps:
            before = node.args[0]
            if not isinstance(before, fx.Node):
                break
            node = before
        return node


def trace(model: Baked, tile: int) -> Trace:
    """Take a fully baked model in fp32 apart, for tiles of ``tile`` low-resolution pixels.

    Raises:
        RuntimeError: the model has an operation that is not known to be safe to look into.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.export.export(model, (torch.zeros(1, 3, tile, tile),))
        program = program.run_decompositions(torch.export.default_decompositions())
    specs = program.graph_signature.input_specs
    if [s.kind for s in specs].index(InputKind.USER_INPUT) != len(specs) - 1:
        raise RuntimeError("expected the image as the graph's last input")
    tensors = {**program.state_dict, **program.constants}
    known = tuple(find_units(model))
    ops, steps = _operations(program.graph_module.graph, frozenset(known))
    return Trace(
        graph=program.graph_module,
        constants=tuple(tensors[str(spec.target)] for spec in specs[:-1]),
        ops=tuple(ops),
        steps=steps,
        units=known,
    )


def _operations(
    graph: fx.Graph, known: Collection[str]
) -> tuple[list[Op], dict[fx.Node, dict[str, Op]]]:
    ops: list[Op] = []
    steps: dict[fx.Node, dict[str, Op]] = {}
    made: dict[fx.Node, str] = {}
    names: Counter[str] = Counter()
    logits = {_source(node.args[0]) for node in graph.nodes if node.target is _SOFTMAX}
    for node in graph.nodes:
        if not _computes(node):
            if node.op == "call_function" and isinstance(node.args[0], fx.Node):
                made[node] = made.get(node.args[0], "")
            continue
        path = _path(node)
        kind = "logits" if node in logits else _kind(node)
        names[f"{path}:{kind}"] += 1
        count = names[f"{path}:{kind}"]
        base = f"{path}:{kind}" + (f"#{count}" if count > 1 else "")
        unit = None if node.target in _ANY_TYPE else _unit(path, known)
        reads = tuple(dict.fromkeys(made[n] for n in node.all_input_nodes if made.get(n)))
        written = WRITTEN_OUT.get(node.target)
        steps[node] = {}
        for label in (*(written.labels if written else ()), OUTPUT):
            name = f"{base}.{label}" if label else base
            op = Op(name=name, module=path, unit=unit, reads=reads)
            steps[node][label] = op
            ops.append(op)
        made[node] = base
    return ops, steps


def _computes(node: fx.Node) -> bool:
    if node.op != "call_function" or node.target in _MOVES:
        return False
    value = node.meta["val"]
    first = value[0] if isinstance(value, tuple | list) else value
    return bool(first.dtype.is_floating_point)


def _source(node: Any) -> Any:
    while isinstance(node, fx.Node) and node.target in _MOVES:
        node = node.args[0]
    return node


def _kind(node: fx.Node) -> str:
    written = WRITTEN_OUT.get(node.target)
    return written.name if written else str(node.target).split(".")[1]


def _path(node: fx.Node) -> str:
    """Return the dotted path of the innermost module that a node was traced in."""
    stack = node.meta.get("nn_module_stack") or {}
    return str(list(stack.values())[-1][0]) if stack else ""


def _unit(path: str, known: Collection[str]) -> str | None:
    while path and path not in known:
        path = path.rpartition(".")[0]
    return path or None
