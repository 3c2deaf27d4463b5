"""Residency: operations the Neural Engine can take, estimated by rules, without the engine.

Only Core ML on a device decides. These rules are what is published; each names its source. What
they pass may still be put elsewhere, for speed or for a limit that nobody wrote down.

Sources:
    [1] coremltools' guide, "Typed Execution": the Neural Engine computes in float16; float32
        operations run on the CPU or GPU.
        https://apple.github.io/coremltools/docs-guides/source/typed-execution.html
    [2] coremltools' guide, "Flexible Input Shapes": enumerated shapes can be prepared for the
        Neural Engine, ranges can't.
        https://apple.github.io/coremltools/docs-guides/source/flexible-inputs.html
    [3] "The Neural Engine: what do we know about it?", found by experiment: recurrent layers,
        control flow, gather, broadcasts of 1-D ops, dilated convolutions, kernels over 13.
        https://github.com/hollance/neural-engine
    [4] "Capability surface" of the ANE guide, found by experiment: no reduce_prod, no scatter, no
        recurrent cells, no convolution in three dimensions.
        https://ane-guide.readthedocs.io/en/latest/part-1-machine/04-capability-surface.html
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .program import Constant, Function, Operation, TensorType, Value

__all__ = ["LABEL", "Finding", "Residency", "estimate_residency"]

LABEL = "estimate by rules, not measured on a Neural Engine"

_LARGEST_KERNEL = 13
_FLOATS = ("float32", "float64")

_NEVER = {
    "reduce_prod": "[4]",
    "scatter": "[4]",
    "scatter_nd": "[4]",
    "scatter_along_axis": "[4]",
    "lstm": "[3][4]",
    "gru": "[3][4]",
    "rnn": "[3][4]",
    "cond": "[3]",
    "while_loop": "[3]",
    "gather": "[3]",
    "gather_nd": "[3]",
    "non_zero": "[3]",
    "topk": "[3]",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """An operation that is expected to leave the Neural Engine."""

    operation: str
    kind: str
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Residency:
    """A function, operation by operation."""

    function: str
    operations: int
    """Constants and weights not counted."""
    leaving: tuple[Finding, ...]
    label: str = LABEL

    @property
    def share(self) -> float:
        """The part of the operations that may stay, from 0 to 1."""
        return 1 - len(self.leaving) / self.operations if self.operations else 1.0


def estimate_residency(function: Function) -> Residency:
    """Estimate which operations of a function the Neural Engine takes.

    Casts at inputs and outputs are counted as leaving: they are at the border in any case.
    """
    types = dict(function.inputs)
    constants: dict[str, Constant] = {}
    found: list[Finding] = []
    count = 0
    rules = [r for r in _RULES if r is not _open or not _is_enumerated(function)]
    for operation in function.body.operations:
        types |= dict(operation.outputs)
        value = operation.inputs.get("val")
        if operation.kind == "const" and isinstance(value, Constant):
            constants[operation.outputs[0][0]] = value
        if operation.kind.startswith("const"):
            continue
        count += 1
        reason = next((said for r in rules if (said := r(operation, types, constants))), "")
        if reason:
            found.append(Finding(operation=operation.name, kind=operation.kind, reason=reason))
    return Residency(function=function.name, operations=count, leaving=tuple(found))


Types = dict[str, TensorType]
Rule = Callable[[Operation, Types, dict[str, Constant]], str]


def _is_enumerated(function: Function) -> bool:
    """Say whether sizes are chosen from a list, for which Core ML prepares the engine."""
    return any(feature.shapes for feature in function.features)


def _explain_never(operation: Operation, _: Types, __: dict[str, Constant]) -> str:
    source = _NEVER.get(operation.kind)
    return f"no such operation on the engine {source}" if source else ""


def _explain_wide(operation: Operation, types: Types, _: dict[str, Constant]) -> str:
    named = (v.name for v in _values(operation))
    kinds = [types[n] for n in named if n in types and types[n].shape]  # a scalar is a setting
    kinds += [kind for _, kind in operation.outputs]
    return "float32 [1]" if any(kind.dtype in _FLOATS for kind in kinds) else ""


def _open(operation: Operation, types: Types, _: dict[str, Constant]) -> str:
    open_side = any(None in kind.shape for _, kind in operation.outputs)
    return "a side that is any number at run time [2]" if open_side else ""


def _convolution(operation: Operation, types: Types, constants: dict[str, Constant]) -> str:
    if operation.kind not in ("conv", "conv_transpose"):
        return ""
    weight = operation.inputs.get("weight")
    shape = types[weight.name].shape if isinstance(weight, Value) else ()
    if len(shape) > 4:
        return "a convolution in three dimensions [4]"
    if any(side is not None and side > _LARGEST_KERNEL for side in shape[2:]):
        return f"a kernel over {_LARGEST_KERNEL} [3]"
    dilations = _constant(operation.inputs.get("dilations"), constants)
    return "a dilated convolution [3]" if any(d > 1 for d in dilations) else ""


_RULES: tuple[Rule, ...] = (
    _explain_never,
    _explain_wide,
    _convolution,
    _open,  # last: it says least about the operation
)


def _values(operation: Operation) -> list[Value]:
    parts = []
    for argument in operation.inputs.values():
        parts += list(argument) if isinstance(argument, tuple) else [argument]
    return [part for part in parts if isinstance(part, Value)]


def _constant(argument: object, constants: dict[str, Constant]) -> list[int]:
    found = constants.get(argument.name) if isinstance(argument, Value) else argument
    if isinstance(found, Constant) and not isinstance(found.array, str):
        return [int(v) for v in found.array.reshape(-1)]
    return []
