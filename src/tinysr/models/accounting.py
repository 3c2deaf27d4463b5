"""Parameters and multiply-accumulates, counted from modules as they run.

Run a model on the "meta" device and nothing is allocated. What is counted:

- parameters: the tensors a module declares as such. Tables and fixed kernels are buffers.
- multiply-accumulates of products with weights: linears and convolutions. Attention's two
  products between activations are counted apart, as papers leave them out.

The fixed bicubic resize of a baked model is a convolution, too, known by the shape of its kernel:
it is not counted, nor is the interpolation it stands for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from tinysr.chain import Chain

__all__ = ["Cost", "count_cost", "count_stage_costs"]

_RESIZES = tuple([3 * scale**2, 1, 5, 5] for scale in range(2, 9))
"""Shapes of the fixed resizes' kernels, by scale; no family's own layers have such."""

_WEIGHT_PRODUCTS = {"mm", "addmm", "convolution"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """Parameters and multiply-accumulates of a stage for one image."""

    parameters: int
    macs: int
    """Multiply-accumulates with weights."""
    attention_macs: int = 0
    """Multiply-accumulates between activations."""

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            parameters=self.parameters + other.parameters,
            macs=self.macs + other.macs,
            attention_macs=self.attention_macs + other.attention_macs,
        )

    def __sub__(self, other: Cost) -> Cost:
        return Cost(
            parameters=self.parameters - other.parameters,
            macs=self.macs - other.macs,
            attention_macs=self.attention_macs - other.attention_macs,
        )


def count_cost(module: nn.Module, run: Callable[..., object], *inputs: object) -> Cost:
    """Count a module's parameters, and the products of one call ``run(*inputs)``."""
    products = _BatchedProducts(module)
    counter = FlopCounterMode(
        display=False,
        custom_mapping={
            torch.ops.aten.convolution: _convolution_flops,
            torch.ops.aten.bmm: products.count,
        },
    )
    with torch.no_grad(), counter:
        run(*inputs)
    flops = counter.get_flop_counts().get("Global", {})
    weights, attention = products.macs, 0
    for operator, count in flops.items():
        if str(operator).split(".")[1] in _WEIGHT_PRODUCTS:
            weights += count // 2
        else:
            attention += count // 2
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return Cost(parameters=parameters, macs=weights, attention_macs=attention)


class _BatchedProducts:
    """Count of products of batches of matrices, among which weights are told by their memory."""

    def __init__(self, module: nn.Module) -> None:
        self.macs = 0
        """Multiply-accumulates with weights so far."""
        self._weights = {_find_memory(parameter) for parameter in module.parameters()}

    @property
    def count(self) -> Callable[..., int]:
        """Function that returns the FLOPs of a product between activations, 0 with weights."""

        def count(x: Tensor, y: Tensor, **_options: Any) -> int:
            macs = x.numel() * y.shape[-1]
            if _find_memory(y) not in self._weights:
                return 2 * macs
            self.macs += macs
            return 0

        count._get_raw = True  # type: ignore[attr-defined]  # tensors, not shapes
        return count


def _find_memory(tensor: Tensor) -> int:
    """Return what views of one tensor share, also where there is no memory."""
    return int(tensor.untyped_storage()._cdata)


def _convolution_flops(
    _x: list[int], weight: list[int], *_args: Any, out_shape: list[int], **_options: Any
) -> int:
    """Count two per multiply-accumulate; the weight is ``[O, I / groups, kH, kW]``."""
    return 0 if list(weight) in _RESIZES else 2 * prod(out_shape) * prod(weight[1:])


def count_stage_costs(
    chain: Chain,
    modules: Callable[[str], nn.Module],
    side: int,
    run: Callable[[str, Tensor], object] | None = None,
) -> dict[str, Cost]:
    """Count the stages of a model for an image ``side``², by their names.

    Args:
        chain: the model's.
        modules: returns a stage's modules by its name, such as ``model.get_submodule``.
        side: in pixels, a tile where stages take no other.
        run: runs a stage by its name on what it reads; None where it is a call of its module.
    """
    found = {}
    for name in chain.names:
        module = modules(name)
        device = next(module.parameters()).device
        length, channels = chain.sides(name, side)[0], chain.ends(name)[0].channels
        given = torch.empty(1, channels, length, length, device=device)
        found[name] = count_cost(module, partial(run, name) if run else module, given)
    return found
