"""Tools of passes: a copy that shares its tensors, and new layers from old ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from torch import Tensor, nn

from tinysr.models.sharing import copy_tree

from .baked_transformer import BakedBlock, SplitAttention

__all__ = ["make_convolution", "make_linear", "replace_modules", "require_constant", "split"]

B = TypeVar("B", bound=nn.Module)
M = TypeVar("M", bound=nn.Module)
T = TypeVar("T")


def make_linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """Return a linear with a ``weight`` ``[outputs, inputs]``, a ``bias`` ``[outputs]`` or none."""
    outputs, inputs = weight.shape
    layer = nn.Linear(inputs, outputs, bias=bias is not None, device="meta")
    layer.weight = _freeze(weight)
    if bias is not None:
        layer.bias = _freeze(bias)
    return layer


def make_convolution(like: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """Return a convolution as ``like``, with other weights, perhaps of other channels."""
    layer = nn.Conv2d(
        weight.shape[1] * like.groups,
        weight.shape[0],
        cast("tuple[int, int]", like.kernel_size),
        cast("tuple[int, int]", like.stride),
        cast("tuple[int, int]", like.padding),
        groups=like.groups,
        bias=bias is not None,
        device="meta",
    )
    layer.weight = _freeze(weight)
    layer.bias = None if bias is None else _freeze(bias)
    return layer


def require_constant(constant: T | None) -> T:
    """Return a constant that a pass folds away.

    Raises:
        ValueError: another pass folded it before.
    """
    if constant is None:
        raise ValueError("this constant is folded already: the pass ran twice")
    return constant


def split(block: BakedBlock) -> SplitAttention:
    """Return a block's attention while its q, k and v are still separate.

    Raises:
        TypeError: they were joined before.
    """
    if not isinstance(block.attn, SplitAttention):
        raise TypeError("q, k and v are joined already: this pass must run before that one")
    return block.attn


def replace_modules(model: B, kind: type[M], make: Callable[[M], nn.Module]) -> B:
    """Return a copy of a model in which each module of a kind is what was made of it.

    Modules keep their paths. The copy shares its tensors; ``make`` may change the module that it
    is given, which is a copy.
    """
    model = copy_tree(model)
    found = [(path, module) for path, module in model.named_modules() if isinstance(module, kind)]
    for path, module in found:
        owner, _, name = path.rpartition(".")
        setattr(model.get_submodule(owner), name, make(module))
    return model


def _freeze(tensor: Tensor) -> nn.Parameter:
    return nn.Parameter(tensor.detach().contiguous(), requires_grad=False)
