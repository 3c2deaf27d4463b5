"""Floating-point types inside a model: who computes in which one, and where values are cast.

The unit of decision is a module that computes something itself (:class:`Typed`). Its own
operations run in its type; operations of modules inside it run in theirs. A value is cast where
an operation of another type reads it, and nowhere else. What only moves values (reshapes, ReLU,
nearest-neighbour upsampling) takes them in whatever type they come.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from tinysr.models.vae import ResidualBlock

__all__ = ["BORDER", "Typed", "TypedConv2d", "TypedResidual", "as_type", "find_units"]

BORDER = torch.float32
"""The type of every stage's input and output, whatever is inside: runtimes feed one type."""


def as_type(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return ``x`` in a type; without a trace in a graph when it has it already."""
    return x if x.dtype is dtype else x.to(dtype)


class Typed(nn.Module):
    """A module with operations of its own, all of one type."""

    compute: torch.dtype = torch.float32

    def cast_input(self, x: Tensor) -> Tensor:
        """Return a value as this module's own operations read it."""
        return as_type(x, self.compute)


class TypedConv2d(Typed, nn.Conv2d):
    """A convolution that casts what it reads."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, outputs, H', W']``."""
        return nn.Conv2d.forward(self, self.cast_input(x))


class TypedResidual(Typed):
    """The autoencoder's block, whose sum has a type of its own."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.conv, self.fuse = block.conv, block.fuse

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, width, H, W]`` to the same shape."""
        y: Tensor = self.fuse(self.cast_input(self.conv(x)) + self.cast_input(x))
        return y


def find_units(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules that compute something themselves, by their dotted paths."""
    kinds = (Typed, nn.Conv2d, ResidualBlock)
    return {path: module for path, module in model.named_modules() if isinstance(module, kinds)}


def with_types(model: nn.Module) -> None:
    """Give every unit a type to be set: replace, in place, the ones that know none."""
    for path, module in find_units(model).items():
        if isinstance(module, Typed):
            continue
        owner, _, name = path.rpartition(".")
        parent = model.get_submodule(owner)
        typed = TypedResidual(module) if isinstance(module, ResidualBlock) else _make_typed(module)
        setattr(parent, name, typed)


def _make_typed(layer: nn.Module) -> TypedConv2d:
    old = cast(nn.Conv2d, layer)
    new = TypedConv2d(
        old.in_channels,
        old.out_channels,
        cast("tuple[int, int]", old.kernel_size),
        cast("tuple[int, int]", old.stride),
        cast("tuple[int, int]", old.padding),
        cast("tuple[int, int]", old.dilation),
        groups=old.groups,
        bias=old.bias is not None,
        device="meta",
    )
    new.weight, new.bias = old.weight, old.bias
    return new
