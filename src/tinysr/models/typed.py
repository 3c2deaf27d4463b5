"""Modules that compute in one floating-point type, which a precision plan chooses."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Typed", "as_type"]


def as_type(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return ``x`` in a type; without a trace in a graph when it has it already."""
    return x if x.dtype is dtype else x.to(dtype)


class Typed(nn.Module):
    """A module with operations of its own, all of one type."""

    compute: torch.dtype = torch.float32

    def cast_input(self, x: Tensor) -> Tensor:
        """Return a value as this module's own operations read it; integers and masks stay."""
        return as_type(x, self.compute) if x.is_floating_point() else x
