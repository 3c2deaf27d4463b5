"""Interpreter of an ML program's function: operation by operation, in its declared types.

Every operation is computed in fp32 and its result rounded to the type the program declares:
half-precision results as fp16 rounds them, overflow to infinity included. What happens inside one
operation (the sums of a convolution, the steps of a norm) stays in fp32: hardware differs there,
and says nothing of it. A value is freed after its last use.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tinysr.errors import BundleError, UnsupportedError

from . import ops  # noqa: F401  imported for its effect: it fills the table
from .program import Argument, Block, Constant, Function, Operation, TensorType, Value
from .table import OPERATIONS, Entry

__all__ = ["Interpreter", "WatchValue"]

WatchValue = Callable[[Operation, str, Tensor], None]
"""Callback, called with each result: its operation, its name, its value."""

Values = MutableMapping[str, Any]

_WIDER = {"uint16": torch.int32, "uint32": torch.int64, "uint64": torch.int64}
"""Wider types that hold values in types with which PyTorch computes little."""

_CONTROL = ("const", "cond")
"""Operations that are no functions of tensors."""


class Interpreter:
    """One function of a program, ready to run: its weights are decoded once."""

    def __init__(self, function: Function) -> None:
        """Decode the weights.

        Raises:
            UnsupportedError: the program has an operation that this can't compute; the message
                names it and its place.
            BundleError: a weight contradicts its declared type.
        """
        self.function = function
        self._refuse_unknown()
        self._constants: dict[str, Any] = {}
        self._steps: list[Operation] = []
        with torch.inference_mode():
            for operation in function.body.operations:
                if operation.kind.startswith("const"):
                    self._constants |= self._compute(operation, self._constants)
                else:
                    self._steps.append(operation)
        used = {name for step in self._steps for name in _reads(step)} | {*function.body.outputs}
        self._constants = {n: value for n, value in self._constants.items() if n in used}
        self._free = _last_uses(self._steps, function.body.outputs)

    def run(
        self, feeds: Mapping[str, NDArray[Any]], watch: WatchValue | None = None
    ) -> dict[str, NDArray[Any]]:
        """Compute the outputs.

        Args:
            feeds: an array for each input, of its declared shape; images as floats, 0 to 255.
            watch: sees every result as it is made.

        Raises:
            UnsupportedError: an input is missing or of another shape, or an operation is given
                what it can't compute.
            BundleError: a result contradicts its declared type: the package was changed.
        """
        values: dict[str, Any] = {}
        with torch.inference_mode():
            for name, kind in self.function.inputs:
                values[name] = _feed(name, kind, feeds)
            for operation, done in zip(self._steps, self._free, strict=True):
                found = self._compute(operation, ChainMap(values, self._constants))
                if watch is not None:
                    for name, value in found.items():
                        watch(operation, name, value)
                values |= found
                for name in done:
                    values.pop(name, None)
        known = ChainMap(values, self._constants)
        return {name: known[name].numpy() for name in self.function.body.outputs}

    def _compute(self, operation: Operation, values: Values) -> dict[str, Any]:
        """Return an operation's results by name, in their declared types."""
        if operation.kind == "const":
            return {operation.outputs[0][0]: _look_up(operation.inputs["val"], values)}
        try:
            found = self._results(operation, values)
        except (LookupError, RuntimeError, TypeError, ValueError, UnsupportedError) as error:
            words = " ".join(str(error).split("\n")[0].split())[:200]
            raise UnsupportedError(
                f"{self._place(operation)}: can't be computed: {words}"
            ) from error
        if len(found) != len(operation.outputs):
            raise BundleError(
                f"{self._place(operation)}: expected {len(operation.outputs)} results, "
                f"found {len(found)}"
            )
        typed = {}
        for (name, kind), value in zip(operation.outputs, found, strict=True):
            typed[name] = self._cast(operation, value, kind)
        return typed

    def _results(self, operation: Operation, values: Values) -> tuple[Tensor, ...]:
        if operation.kind == "cond":
            return self._branch(operation, values)
        entry = OPERATIONS[operation.kind]
        result = entry.function(**_arguments(operation, entry, values))
        return result if isinstance(result, tuple) else (result,)

    def _branch(self, operation: Operation, values: Values) -> tuple[Tensor, ...]:
        """Run one of the two blocks of a condition; what it computes stays its own."""
        block = operation.blocks[0 if bool(_look_up(operation.inputs["pred"], values)) else 1]
        own: dict[str, Any] = {}
        inner = ChainMap(own, values)
        for inside in block.operations:
            own |= self._compute(inside, inner)
        return tuple(inner[name] for name in block.outputs)

    def _cast(self, operation: Operation, value: Tensor, kind: TensorType) -> Tensor:
        """Return a result in its declared type, once its shape is the declared one."""
        if not kind.holds(value.shape):
            raise BundleError(
                f"{self._place(operation)}: expected {kind}, found {list(value.shape)}: "
                "the package was changed after it was made"
            )
        return value.to(_dtype(kind.dtype))

    def _refuse_unknown(self) -> None:
        for operation in _walk(self.function.body):
            if operation.kind not in OPERATIONS and operation.kind not in _CONTROL:
                raise UnsupportedError(
                    f"{self._place(operation)}: the reference interpreter has no such operation: "
                    "add it to runtime/mil/ops, or run the package on a Mac"
                )

    def _place(self, operation: Operation) -> str:
        count = len(self.function.body.operations)
        where = ""
        for index, own in enumerate(self.function.body.operations):
            if own is operation or operation in [o for b in own.blocks for o in _walk(b)]:
                where = f", operation {index + 1} of {count}"
        return f"'{operation.kind}' named '{operation.name}' in {self.function.name}{where}"


def _walk(block: Block) -> Iterator[Operation]:
    for operation in block.operations:
        yield operation
        for inner in operation.blocks:
            yield from _walk(inner)


def _reads(operation: Operation) -> Iterator[str]:
    """Yield the names that an operation reads, blocks inside it included."""
    for argument in operation.inputs.values():
        for part in argument if isinstance(argument, tuple) else (argument,):
            if isinstance(part, Value):
                yield part.name
    for block in operation.blocks:
        yield from block.outputs
        for inner in block.operations:
            yield from _reads(inner)


def _last_uses(steps: list[Operation], outputs: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return for each step the names that nothing after it reads."""
    needed = set(outputs)
    free: list[tuple[str, ...]] = []
    for step in reversed(steps):
        names = {*_reads(step), *(name for name, _ in step.outputs)}
        free.append(tuple(names - needed))
        needed |= names
    return free[::-1]


def _arguments(operation: Operation, entry: Entry, values: Values) -> dict[str, Any]:
    """Return an operation's inputs as its function wants them.

    Raises:
        TypeError: one is missing, or not known.
    """
    unknown = operation.inputs.keys() - entry.converters.keys()
    missing = entry.required - operation.inputs.keys()
    if unknown or missing:
        raise TypeError(
            f"expected the inputs {sorted(entry.converters)}, found {sorted(operation.inputs)}"
        )
    found = {}
    for name, argument in operation.inputs.items():
        value = _look_up(argument, values)
        found[name] = entry.converters[name](value if entry.narrow else _widen(value))
    return found


def _look_up(argument: Argument, values: Values) -> Any:
    if isinstance(argument, tuple):
        return tuple(_look_up(part, values) for part in argument)
    if isinstance(argument, Constant):
        return _tensor(argument)
    return values[argument.name]


def _widen(value: Any) -> Any:
    """Return half-precision values in fp32, exactly."""
    if isinstance(value, tuple):
        return tuple(_widen(part) for part in value)
    half = isinstance(value, Tensor) and value.dtype is torch.float16
    return value.float() if half else value


def _tensor(constant: Constant) -> Tensor | str:
    array = constant.array
    if isinstance(array, str):
        return array
    dtype = _dtype(constant.type.dtype)
    if constant.type.dtype in _WIDER:
        array = array.astype(np.int64)
    return torch.from_numpy(np.array(array, order="C")).to(dtype)


def _dtype(name: str) -> torch.dtype:
    if name in _WIDER:
        return _WIDER[name]
    if name.startswith(("uint", "int")) and int(name.lstrip("uint")) < 8:
        return torch.uint8 if name.startswith("u") else torch.int8
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise UnsupportedError(f"values of the type {name} can't be computed with")
    return found


def _feed(name: str, kind: TensorType, feeds: Mapping[str, NDArray[Any]]) -> Tensor:
    if name not in feeds:
        raise UnsupportedError(f"expected the input '{name}', found {sorted(feeds)}")
    array = feeds[name]
    if not kind.holds(array.shape):
        raise UnsupportedError(f"expected '{name}' as {kind}, found {list(array.shape)}")
    return torch.from_numpy(np.ascontiguousarray(array)).to(_dtype(kind.dtype))
