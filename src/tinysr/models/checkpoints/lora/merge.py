"""Merging a LoRA into the weights it was trained on: W + alpha / rank · B·A."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.files import check_finite, read_safetensors
from tinysr.models.checkpoints.text_stream import in_text_stream

from .names import LowRankPair, is_alpha, pairs_by_module
from .sources import statements
from .strength import scales

__all__ = ["merge_lora", "merge_weight"]

_WEIGHT = ".weight"


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
    strengths = scales(pairs, statements(path, metadata, pairs), path)
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
