"""Outlier channels moved from a layer's input into its weights, by powers of two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from tinysr.errors import CalibrationError
from tinysr.models.layers.autoencoder_tiny import ResidualBlock
from tinysr.models.sharing import copy_tree

from ..plans.quantization import Equalised
from .baked import Baked
from .baked_transformer import BakedBlock, JoinedAttention, MatMulLinear, Modulated

__all__ = ["equalise", "find_equalisable"]


@torch.no_grad()
def equalise(model: Baked, entries: Iterable[Equalised]) -> Baked:
    """Divide channels that layers read, and multiply the weights that read them.

    Given: a fully baked model in fp32, and layers of :func:`find_equalisable`.
    Result: the same function, bit for bit unless a value leaves fp32's range; what
    a layer reads is closer to one size. The division is folded into the layer before, or stands
    after the norm, where there is none.

    Raises:
        CalibrationError: a layer's channels can't be divided, or are not so many.
    """
    entries = tuple(entries)
    if not entries:
        return model
    model = copy_tree(model)
    before = find_equalisable(model)
    for entry in entries:
        if entry.module not in before:
            raise CalibrationError(
                f"the plan equalises '{entry.module}', which follows no layer or norm that its "
                "channels could be divided in: expected one of "
                f"{', '.join(list(before)[:3])}, …"
            )
        layer = model.get_submodule(entry.module)
        factors = torch.tensor(entry.exponents, dtype=torch.float32).exp2()
        inputs = _inputs(layer)
        if len(factors) != inputs:
            raise CalibrationError(
                f"the plan equalises '{entry.module}': expected {inputs} exponents, found "
                f"{len(factors)}"
            )
        _divide(before[entry.module], factors)
        shape = (-1, 1) if isinstance(layer, MatMulLinear) else (1, -1, 1, 1)
        _set(layer, "weight", layer.get_parameter("weight") * factors.reshape(shape))
    return model


def find_equalisable(model: nn.Module) -> dict[str, nn.Module]:
    """Return layers whose input channels can be divided, and the module before that does it."""
    found: dict[str, nn.Module] = {}
    for path, module in model.named_modules():
        if isinstance(module, BakedBlock) and isinstance(module.attn, JoinedAttention):
            found[f"{path}.attn.to_qkv"] = module.norm_attn
            # Attention weighs values, the same in all channels of a head.
            found[f"{path}.attn.to_out"] = module.attn.to_qkv
            found[f"{path}.ff.proj_in"] = module.norm_ff
        elif isinstance(module, ResidualBlock):
            _find_pairs(f"{path}.conv", module.conv, found)
    return found


def _find_pairs(
    path: str, chain: Sequence[nn.Module] | nn.Module, found: dict[str, nn.Module]
) -> None:
    """Find convolutions with only a ReLU between: it lets positive factors pass."""
    parts = list(chain.named_children()) if isinstance(chain, nn.Module) else []
    for (_, first), (_, between), (name, last) in zip(parts, parts[1:], parts[2:], strict=False):
        convs = isinstance(first, nn.Conv2d) and isinstance(last, nn.Conv2d)
        if convs and isinstance(between, nn.ReLU):
            found[f"{path}.{name}"] = first


def _inputs(layer: nn.Module) -> int:
    weight = layer.get_parameter("weight")
    return weight.shape[0 if isinstance(layer, MatMulLinear) else 1]


def _divide(module: nn.Module, factors: Tensor) -> None:
    if isinstance(module, Modulated):
        module.register_buffer("scale", 1 / factors)
        return
    if isinstance(module, MatMulLinear):  # q, k and v in one: only v's outputs
        rest = module.weight.shape[1] - len(factors)
        factors = torch.cat([torch.ones(rest), factors])
        _set(module, "weight", module.weight / factors)
    else:
        _set(module, "weight", module.get_parameter("weight") / factors.reshape(-1, 1, 1, 1))
    _set(module, "bias", module.get_parameter("bias") / factors)


def _set(module: nn.Module, name: str, value: Tensor) -> None:
    setattr(module, name, nn.Parameter(value, requires_grad=False))
