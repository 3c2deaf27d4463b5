"""Merging a LoRA into the weights it was trained on: W + alpha / rank · B·A."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.files import check_finite, read_safetensors
from tinysr.models.checkpoints.text_stream import in_text_stream

__all__ = ["merge_lora", "merged_weight"]

_PREFIX = "transformer."
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"
_REFUSED_OPTIONS = ("use_dora", "use_rslora", "alpha_pattern", "rank_pattern")


def merge_lora(
    weights: dict[str, Tensor], path: Path, *, dropped: Callable[[str], bool] = in_text_stream
) -> dict[str, Tensor]:
    """Return ``weights`` with the LoRA of a file merged in, in fp32.

    Args:
        weights: a transformer's, or an autoencoder's: TSD-SR has the same prefix for both.
        path: the LoRA.
        dropped: tells the modules that ``weights`` leaves out on purpose, by their names.

    Raises:
        CheckpointError: the file is empty, a key has no module or no partner, or the shapes
            don't fit.
    """
    tensors, metadata = read_safetensors(path)
    if not tensors:
        raise CheckpointError(f"{path}: expected a LoRA, found no tensor")
    alpha = _alpha(metadata, path)
    merged = dict(weights)
    for module, (down, up) in _pairs(tensors, path, dropped).items():
        name = f"{module}.weight"
        if name not in weights:
            raise CheckpointError(f"{path}: the LoRA key '{_PREFIX}{module}' has no module")
        if not _fits(weights[name], down, up):
            raise CheckpointError(
                f"{path}: the LoRA of '{module}' is {list(down.shape)} and {list(up.shape)}, "
                f"which does not fit a weight of {list(weights[name].shape)}"
            )
        scale = 1.0 if alpha is None else alpha / down.shape[0]
        merged[name] = merged_weight(weights[name], down, up, scale)
        check_finite(name, merged[name], path)
    return merged


def merged_weight(weight: Tensor, down: Tensor, up: Tensor, scale: float) -> Tensor:
    """Return W + scale · B·A for a linear's ``[O, I]`` or a convolution's ``[O, I, kH, kW]``."""
    delta = up.flatten(1) @ down.flatten(1)
    return weight + delta.mul_(scale).view_as(weight)


def _pairs(
    tensors: Mapping[str, Tensor], path: Path, dropped: Callable[[str], bool]
) -> dict[str, tuple[Tensor, Tensor]]:
    modules: dict[str, None] = {}  # an ordered set
    for key in tensors:
        module = key.removesuffix(_DOWN).removesuffix(_UP)
        if not key.startswith(_PREFIX) or module == key:
            raise CheckpointError(
                f"{path}: unexpected LoRA key '{key}', expected {_PREFIX}<module>{_DOWN} or …{_UP}"
            )
        if not dropped(module.removeprefix(_PREFIX)):
            modules[module] = None
    for module in modules:
        for end in (_DOWN, _UP):
            if module + end not in tensors:
                raise CheckpointError(f"{path}: the LoRA key '{module}{end}' is missing")
    return {m.removeprefix(_PREFIX): (tensors[m + _DOWN], tensors[m + _UP]) for m in modules}


def _fits(weight: Tensor, down: Tensor, up: Tensor) -> bool:
    """Hold a pair against its weight: linears are ``[O, I]``, convolutions ``[O, I, kH, kW]``."""
    rank, *inner = down.shape
    outer = up.shape[:2] == (weight.shape[0], rank) and up.numel() == weight.shape[0] * rank
    return rank > 0 and outer and tuple(inner) == tuple(weight.shape[1:])


def _alpha(metadata: Mapping[str, str], path: Path) -> float | None:
    """Return the alpha that the file states; None, which means the rank, if it states none."""
    options: dict[str, object] = dict(metadata)
    if "lora_adapter_metadata" in metadata:
        try:
            stated = json.loads(metadata["lora_adapter_metadata"])
            options = {str(key).removeprefix(_PREFIX): value for key, value in stated.items()}
        except (ValueError, AttributeError, RecursionError) as error:
            raise CheckpointError(f"{path}: its LoRA metadata is not JSON ({error})") from error
    for name in _REFUSED_OPTIONS:
        if options.get(name):
            raise CheckpointError(f"{path}: LoRA with '{name}' is not supported; merge it yourself")
    alpha = options.get("lora_alpha", options.get("alpha"))
    if alpha is None:
        return None
    try:
        return float(str(alpha))
    except ValueError as error:
        raise CheckpointError(f"{path}: the LoRA's alpha is '{alpha}', not a number") from error
