"""A precision plan put into effect in a conversion: which operations become fp16.

The conversion rounds whole graphs to fp16 and asks about every operation. It is told by the module
that the operation was traced from, which its scope names: so the plan decides, module by module,
as it does for every other target.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from tinysr.export.model.typed import Wide, find_units
from tinysr.export.plans.precision import PrecisionPlan

__all__ = ["IMAGE", "list_traced_paths", "module_of", "narrow_selector"]

IMAGE = "image"
"""Name of the module that makes an image of a function's result."""

_SCOPES = "TORCHSCRIPT_MODULE_NAME"


def narrow_selector(
    function: nn.Module, model: nn.Module, plan: PrecisionPlan
) -> Callable[[Any], bool]:
    """Return what says of an operation whether it computes in fp16.

    An operation of a module without a type of its own, such as ReLU, takes values as they come:
    it is wide when what it reads is. So are those that a conversion adds between modules.

    Args:
        function: what is converted: the baked model, or a stage of it under the same paths.
        model: the baked model, whose modules the plan names.
        plan: of this model.

    Raises:
        CalibrationError: the plan names modules that the model does not have.
    """
    known = find_units(function)
    steps = {path for path, module in function.named_modules() if isinstance(module, Wide)}
    wide = plan.list_wide(find_units(model))
    paths = list_traced_paths(function)

    def narrow(op: Any) -> bool:
        unit = module_of(op, paths)
        if unit in steps:
            return False
        if unit in known:
            return unit not in wide
        return all(narrow(maker) for maker in _find_makers(op))

    return narrow


def list_traced_paths(model: nn.Module) -> dict[tuple[str, ...], str]:
    """Return the modules' dotted paths, by the names that a trace gives them.

    A trace names the modules that are called: lists of modules are not, and are left out. What
    scales the result to an image belongs to the last convolution, which it is multiplied into.
    """
    lists = {path for path, module in model.named_modules() if isinstance(module, nn.ModuleList)}
    found = {}
    for path, _ in model.named_modules():
        parts = path.split(".") if path else []
        called = (part for i, part in enumerate(parts) if ".".join(parts[: i + 1]) not in lists)
        if path not in lists:
            found[tuple(called)] = path
    convolutions = [path for path, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    if (IMAGE,) in found and convolutions:
        found[IMAGE,] = convolutions[-1]
    return found


def module_of(op: Any, paths: dict[tuple[str, ...], str]) -> str:
    """Return the path of the innermost module that an operation was traced from."""
    scope = next((tuple(names) for key, names in op.scopes.items() if key.name == _SCOPES), ())
    for length in range(len(scope), 0, -1):
        if scope[:length] in paths:
            return paths[scope[:length]]
    return ""


def _find_makers(op: Any) -> list[Any]:
    """Return the operations whose results an operation reads, but for constants."""
    found = []
    for value in op.inputs.values():
        for var in value if isinstance(value, list | tuple) else (value,):
            maker = getattr(var, "op", None)
            if maker is not None and not maker.op_type.startswith("const"):
                found.append(maker)
    return found
