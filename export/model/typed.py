"""Floating-point types inside a model: who computes in which one, and where values are cast.

The unit of decision is a module that computes something itself (:class:`Typed`). Its own
operations run in its type; operations of modules inside it run in theirs. A value is cast where
an operation of another type reads it, and nowhere else. What only moves values (reshapes, ReLU,
pixel shuffles, nearest-neighbour upsampling) takes them in whatever type they come.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.models.layers.autoencoder_tiny import ResidualBlock
from tinysr.models.typed import Typed, as_type

__all__ = [
    "BORDER",
    "Typed",
    "TypedLayer",
    "TypedRMSNorm",
    "Wide",
    "as_type",
    "find_units",
    "with_types",
]

BORDER = torch.float32
"""The type of every stage's input and output, whatever is inside: runtimes feed one type."""


class Wide(nn.Module):
    """A module that computes in :data:`BORDER` whatever a plan says, and casts what it reads to it.

    It is no unit: a plan can't choose its type.
    """


class TypedLayer(Typed):
    """A layer of PyTorch's that casts what it reads; its class follows this one as a base."""

    def forward(self, x: Tensor) -> Tensor:
        """Map a value as the layer itself does."""
        y: Tensor = super().forward(self.cast_input(x))
        return y


class TypedConv2d(TypedLayer, nn.Conv2d):
    """A convolution of a type."""


class TypedConvTranspose2d(Typed, nn.ConvTranspose2d):
    """A transposed convolution of a type."""

    def forward(self, x: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Map ``[N, inputs, H, W]`` to ``[N, outputs, H', W']``."""
        return nn.ConvTranspose2d.forward(self, self.cast_input(x), output_size)


class TypedLinear(TypedLayer, nn.Linear):
    """A linear of a type."""


class TypedGroupNorm(TypedLayer, nn.GroupNorm):
    """A norm over groups of channels, of a type."""


class TypedInstanceNorm2d(TypedLayer, nn.InstanceNorm2d):
    """A norm over each channel, of a type."""


class TypedBatchNorm2d(TypedLayer, nn.BatchNorm2d):
    """A norm with stored statistics, of a type."""


class TypedLayerNorm(TypedLayer, nn.LayerNorm):
    """A norm over the last dimensions, of a type."""


class TypedRMSNorm(Typed, nn.RMSNorm):
    """A norm by the mean square of the last dimensions, of a type.

    In fp16 it is the layer norm of x beside -x, whose mean is zero and whose variance is the mean
    square: one operation of one type, where graphs of PyTorch's own have a dozen in fp32.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[…, *shape]`` to the same shape."""
        x = self.cast_input(x)
        if self.compute is BORDER:
            return nn.RMSNorm.forward(self, x)
        *outer, length = self.normalized_shape
        eps = torch.finfo(BORDER).eps if self.eps is None else self.eps
        both = F.layer_norm(torch.cat([x, -x], -1), [*outer, 2 * length], eps=eps)
        y = both[..., :length]
        return y if self.weight is None else y * self.weight


class TypedSiLU(TypedLayer, nn.SiLU):
    """x · sigmoid(x), of a type."""


class TypedGELU(TypedLayer, nn.GELU):
    """x·Φ(x), exactly or by tanh, of a type."""


class TypedSigmoid(TypedLayer, nn.Sigmoid):
    """1 / (1 + e⁻ˣ), of a type."""


class TypedTanh(TypedLayer, nn.Tanh):
    """A hyperbolic tangent of a type."""


class TypedAvgPool2d(TypedLayer, nn.AvgPool2d):
    """Means of windows, of a type."""


class TypedAdaptiveAvgPool2d(TypedLayer, nn.AdaptiveAvgPool2d):
    """Means of as many parts as are wanted, of a type."""


class TypedPReLU(TypedLayer, nn.PReLU):
    """A leaky ReLU with stored slopes, of a type."""


class TypedResidual(Typed, ResidualBlock):
    """The autoencoder's block, whose sum has a type of its own."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, width, H, W]`` to the same shape."""
        y: Tensor = self.fuse(self.cast_input(self.conv(x)) + self.cast_input(x))
        return y


_TYPED: Mapping[type[nn.Module], type[Typed]] = {
    ResidualBlock: TypedResidual,
    nn.AdaptiveAvgPool2d: TypedAdaptiveAvgPool2d,
    nn.AvgPool2d: TypedAvgPool2d,
    nn.BatchNorm2d: TypedBatchNorm2d,
    nn.Conv2d: TypedConv2d,
    nn.ConvTranspose2d: TypedConvTranspose2d,
    nn.GELU: TypedGELU,
    nn.GroupNorm: TypedGroupNorm,
    nn.InstanceNorm2d: TypedInstanceNorm2d,
    nn.LayerNorm: TypedLayerNorm,
    nn.Linear: TypedLinear,
    nn.PReLU: TypedPReLU,
    nn.RMSNorm: TypedRMSNorm,
    nn.SiLU: TypedSiLU,
    nn.Sigmoid: TypedSigmoid,
    nn.Tanh: TypedTanh,
}
"""Classes of units that know no type, and the classes of the same layers that do.

Only these classes themselves: one derived from them may compute something else."""


def find_units(model: nn.Module) -> dict[str, nn.Module]:
    """Return the modules that compute something themselves, by their dotted paths."""
    return {
        path: module
        for path, module in model.named_modules()
        if isinstance(module, Typed) or type(module) in _TYPED
    }


def with_types(model: nn.Module) -> None:
    """Give every unit a type to be set, in place: those that know none become another class."""
    for module in find_units(model).values():
        if not isinstance(module, Typed):
            module.__class__ = _TYPED[type(module)]
