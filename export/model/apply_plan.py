"""A precision plan put into effect, in PyTorch, so that every target inherits it."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn

from tinysr.errors import GateError
from tinysr.models.sharing import copy_tree

from ..plans.precision import PrecisionPlan
from .typed import Typed, find_units, with_types

__all__ = ["apply_plan"]

M = TypeVar("M", bound=nn.Module)


@torch.no_grad()
def apply_plan(model: M, plan: PrecisionPlan) -> M:
    """Store parameters in the types of a plan, and cast where types meet.

    Given: a fully baked model in fp32.
    Result: the same function up to rounding. Modules and parameters keep their names; inputs
    and outputs of the stages stay fp32; tensors of kept modules are shared with ``model``.

    Raises:
        CalibrationError: the plan names modules that the model does not have.
        GateError: a weight of a module that is not kept overflows.
    """
    wide = plan.list_wide(find_units(model))
    model = copy_tree(model)
    with_types(model)
    for path, module in find_units(model).items():
        if path not in wide and isinstance(module, Typed):
            _to_half(path, module)
    return model


def _to_half(path: str, module: Typed) -> None:
    module.compute = torch.float16
    for name, parameter in list(module.named_parameters(recurse=False)):
        half = _round_to_half(f"{path}.{name}", parameter)
        setattr(module, name, nn.Parameter(half, requires_grad=False))
    for name, buffer in list(module.named_buffers(recurse=False)):
        if not buffer.is_floating_point():  # a batch norm counts what it saw
            continue
        setattr(module, name, _round_to_half(f"{path}.{name}", buffer))


def _round_to_half(name: str, tensor: Tensor) -> Tensor:
    half = tensor.detach().half()
    if not torch.isfinite(half).all():
        raise GateError(
            f"'{name}' reaches {float(tensor.abs().max()):g}, and fp16 ends at "
            f"{torch.finfo(torch.float16).max:g}: keep its module in fp32"
        )
    return half
