"""Merging a LoRA into the weights it was trained on: W + alpha / rank · B·A."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.files import check_finite, read_safetensors
from tinysr.models.checkpoints.text_stream import in_text_stream

from .names import LowRankPair, group_adapters, is_alpha, pairs_by_module
from .sources import statements
from .statement import Statement
from .strength import scales

__all__ = ["merge_adapters", "merge_lora", "merge_weight"]

_WEIGHT = ".weight"

_PEFT_ALPHA = 8.0
"""Default of peft's ``LoraConfig(lora_alpha=…)``."""


def merge_lora(
    weights: dict[str, Tensor], path: Path, *, dropped: Callable[[str], bool] = in_text_stream
) -> dict[str, Tensor]:
    """Return ``weights`` with the LoRA of a file merged in, in fp32.

    Args:
        weights: a transformer's, or an autoencoder's, under their own names.
        path: the LoRA, with the names of peft, diffusers or kohya.
        dropped: tells the tensors that ``weights`` leaves out on purpose, by their names.

    Raises:
        CheckpointError: the file is empty, a key has no module or no partner, the shapes don't
            fit, or the strength is contradicted or not understood.
    """
    tensors, metadata = read_safetensors(path, integers=is_alpha)
    if not tensors:
        raise CheckpointError(f"{path}: expected a LoRA, found no tensor")
    modules = {name.removesuffix(_WEIGHT): None for name in weights if name.endswith(_WEIGHT)}
    pairs = pairs_by_module(tensors, modules, lambda name: dropped(name + _WEIGHT), path)
    return _merge_pairs(
        weights, pairs, scales(pairs, statements(path, metadata, pairs), path), path
    )


def merge_adapters(
    weights: dict[str, Tensor], tensors: Mapping[str, Tensor], path: Path
) -> dict[str, Tensor]:
    """Return ``weights`` with several adapters merged in, which peft ran with its default alpha.

    The authors of some models make their adapters with a rank alone, and save the tensors without
    a config: what they are scaled by is 8 over the rank, and not 1.

    Args:
        weights: of the base, under their own names.
        tensors: of all adapters, named ``<module>.lora_A.<adapter>.weight`` and ``lora_B``.
        path: the file that they are from, for messages.

    Raises:
        CheckpointError: a key has no module or no partner, or the shapes don't fit.
    """
    modules = {name.removesuffix(_WEIGHT): None for name in weights if name.endswith(_WEIGHT)}
    default = Statement(source="peft's default", alpha=_PEFT_ALPHA)
    for own in group_adapters(tensors, path).values():
        pairs = pairs_by_module(own, modules, lambda _: False, path)
        weights = _merge_pairs(weights, pairs, scales(pairs, [default], path), path)
    return weights


def _merge_pairs(
    weights: dict[str, Tensor],
    pairs: Mapping[str, LowRankPair],
    strengths: Mapping[str, float],
    path: Path,
) -> dict[str, Tensor]:
    merged = dict(weights)
    for module, pair in pairs.items():
        name = module + _WEIGHT
        if name not in weights:  # of the part that is left out
            continue
        if not _fits(weights[name], pair):
            raise CheckpointError(
                f"{path}: the LoRA of '{module}' is {list(pair.down.shape)} and "
                f"{list(pair.up.shape)}, which does not fit a weight of {list(weights[name].shape)}"
            )
        merged[name] = merge_weight(weights[name], pair.down, pair.up, strengths[module])
        check_finite(name, merged[name], path)
    return merged


def merge_weight(weight: Tensor, down: Tensor, up: Tensor, scale: float) -> Tensor:
    """Return W + scale · B·A for a linear's ``[O, I]`` or a convolution's ``[O, I, kH, kW]``."""
    delta = up.flatten(1) @ down.flatten(1)
    return weight + delta.mul_(scale).view_as(weight)


def _fits(weight: Tensor, pair: LowRankPair) -> bool:
    """Hold a pair against its weight: linears are ``[O, I]``, convolutions ``[O, I, kH, kW]``."""
    rank, *inner = pair.down.shape
    outer = pair.up.shape[:2] == (weight.shape[0], rank)
    return outer and pair.up.numel() == weight.shape[0] * rank and tuple(inner) == weight.shape[1:]
