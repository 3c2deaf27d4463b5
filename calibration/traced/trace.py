"""The baked model as a list of operations, each with the module that it belongs to."""

from __future__ import annotations

import operator
import warnings
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.export.graph_signature import InputKind

from tinysr.chain import Chain
from tinysr.export.model.baked import Baked
from tinysr.export.model.typed import Wide, find_units
from tinysr.stages import WHOLE as WHOLE_GRAPH

from .inner import WHOLE, find_written
from .steps import OUTPUT

__all__ = ["Op", "Trace", "trace"]

_ATEN = torch.ops.aten

_SOFTMAX = _ATEN._softmax.default

_MOVES: frozenset[Any] = frozenset(
    {
        operator.getitem,
        _ATEN.cat.default,
        _ATEN.clone.default,
        _ATEN.constant_pad_nd.default,
        _ATEN.expand.default,
        _ATEN.index.Tensor,
        _ATEN.index_select.default,
        _ATEN.max_pool2d_with_indices.default,
        _ATEN.permute.default,
        _ATEN.repeat.default,
        _ATEN.select.int,
        _ATEN.slice.Tensor,
        _ATEN.split_with_sizes.default,
        _ATEN.squeeze.dim,
        _ATEN.squeeze.dims,
        _ATEN.unsqueeze.default,
        _ATEN.upsample_nearest2d.vec,
        _ATEN.view.default,
    }
)
"""Operations that only move values: nothing is measured, and nothing is rounded."""

_ANY_TYPE: frozenset[Any] = frozenset(
    {_ATEN.clamp.default, _ATEN.leaky_relu.default, _ATEN.relu.default}
)
"""Operations that compute in whatever type their input comes, and make nothing larger."""

_HIDING: frozenset[str] = frozenset(
    {
        *("_native_batch_norm_legit", "linalg_vector_norm", "native_group_norm", "logsumexp"),
        *("std", "std_mean", "var", "var_mean"),
    }
)
"""Operations with squares or powers inside that nobody would see."""


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
    chain: Chain | None = None
    """Stages of a whole model; None for a part of one."""

    def source(self, node: fx.Node) -> fx.Node:
        """Return the node that computed what a node has."""
        while node.op == "call_function" and node not in self.steps:
            before = node.args[0]
            if not isinstance(before, fx.Node):
                break
            node = before
        return node


def trace(model: nn.Module, tile: int) -> Trace:
    """Take a fully baked model in fp32 apart, for tiles of ``tile`` low-resolution pixels.

    Raises:
        RuntimeError: the model has an operation that is not known to be safe to look into, or one
            that no unit computes, so that it has no type.
    """
    chain = model.chain if isinstance(model, Baked) else None
    side = tile if chain is None else chain.sides(WHOLE_GRAPH, tile)[0]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore", FutureWarning)
        program = torch.export.export(model, (torch.zeros(1, 3, side, side),))
        program = program.run_decompositions(_list_decompositions())
    specs = program.graph_signature.input_specs
    if [s.kind for s in specs].index(InputKind.USER_INPUT) != len(specs) - 1:
        raise RuntimeError("expected the image as the graph's last input")
    tensors = {**program.state_dict, **program.constants}
    known = tuple(find_units(model))
    wide = frozenset(path for path, module in model.named_modules() if isinstance(module, Wide))
    ops, steps = _operations(program.graph_module.graph, frozenset(known), wide)
    return Trace(
        graph=program.graph_module,
        constants=tuple(tensors[str(spec.target)] for spec in specs[:-1]),
        ops=tuple(ops),
        steps=steps,
        units=known,
        chain=chain,
    )


def _list_decompositions() -> Any:
    """Return PyTorch's, all but those of operations that are written out here."""
    table = torch.export.default_decompositions()
    for whole in WHOLE & table.keys():
        del table[whole]
    return table


def _operations(
    graph: fx.Graph, known: Collection[str], wide: Collection[str]
) -> tuple[list[Op], dict[fx.Node, dict[str, Op]]]:
    ops: list[Op] = []
    steps: dict[fx.Node, dict[str, Op]] = {}
    made: dict[fx.Node, tuple[str, ...]] = {}
    names: Counter[str] = Counter()
    logits = {_source(node.args[0]) for node in graph.nodes if node.target is _SOFTMAX}
    for node in graph.nodes:
        reads = tuple(dict.fromkeys(name for n in node.all_input_nodes for name in made.get(n, ())))
        if not _computes(node):
            made[node] = reads
            continue
        path = _path(node)
        _refuse_hiding(node, path)
        kind = "logits" if node in logits else _kind(node)
        names[f"{path}:{kind}"] += 1
        count = names[f"{path}:{kind}"]
        base = f"{path}:{kind}" + (f"#{count}" if count > 1 else "")
        unit = None if node.target in _ANY_TYPE else _find_unit(node, path, known, wide)
        written = find_written(node)
        steps[node] = {}
        for label in written.list_labels(node) if written else (OUTPUT,):
            name = f"{base}.{label}" if label else base
            op = Op(name=name, module=path, unit=unit, reads=reads)
            steps[node][label] = op
            ops.append(op)
        made[node] = (base,)
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
    written = find_written(node)
    return written.name if written else str(node.target).split(".")[1]


def _path(node: fx.Node) -> str:
    """Return the dotted path of the innermost module that a node was traced in."""
    stack = node.meta.get("nn_module_stack") or {}
    return str(list(stack.values())[-1][0]) if stack else ""


def _find_unit(
    node: fx.Node, path: str, known: Collection[str], wide: Collection[str]
) -> str | None:
    """Return the innermost unit around a path; None for what is wide, or computed by a stage.

    Raises:
        RuntimeError: there is none, inside a stage: nobody would choose the operation's type.
    """
    unit = path
    while unit and unit not in known and unit not in wide:
        unit = unit.rpartition(".")[0]
    if not unit and "." in path:
        raise RuntimeError(
            f"'{_kind(node)}' in '{path}' has no type of its own: expected a unit, such as a "
            "convolution or a module of the class Typed, or one of the class Wide, to compute it"
        )
    return unit if unit in known else None


def _refuse_hiding(node: fx.Node, path: str) -> None:
    """Raise RuntimeError for an operation whose inner values nobody would see."""
    kind = str(node.target).split(".")[1]
    if kind in _HIDING:
        raise RuntimeError(
            f"'{kind}' in '{path}' has inner values that can't be seen: write its steps out, in "
            "the module or in calibration/traced"
        )
