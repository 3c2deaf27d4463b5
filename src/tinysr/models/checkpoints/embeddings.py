"""Embeddings of prompts, and position tables: single tensors, as pickles or safetensors.

Pickles are read as plain tensors, and run nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.damage import describe_absence, describe_stand_in
from tinysr.models.checkpoints.files import check_finite, is_safetensors, read_safetensors

__all__ = ["read_pooled", "read_positions", "read_prompt"]

_MAX_EMBEDDING = 16 * 2**20  # bytes: a prompt's tokens have 5 MB, a pooled embedding some kB
_MAX_POSITIONS = 2**30  # bytes: SD3-medium's table has 226 MB


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kind:
    """Kind of embedding."""

    what: str
    """Name of the kind in messages."""
    names: frozenset[str]
    """Names under which it lies in a file of several tensors."""
    axes: tuple[str, ...]
    """Its shape without the batch."""


_POOLED = _Kind(
    what="the pooled text embedding",
    names=frozenset({"pooled_prompt_embeds", "pooled_embeds", "pool_embeds", "pooled"}),
    axes=("size",),
)
_PROMPT = _Kind(
    what="the prompt's embedding",
    names=frozenset({"prompt_embeds", "prompt"}),
    axes=("tokens", "size"),
)


def read_pooled(*candidates: Path) -> Tensor:
    """Return the pooled text embedding ``[1, size]``, fp32, from the first file that exists.

    Raises:
        CheckpointError: none exists, or it does not hold one tensor ``[size]``, with axes of
            length one before it or not.
    """
    return _embedding(_POOLED, candidates)


def read_prompt(*candidates: Path) -> Tensor:
    """Return the embeddings of a prompt's tokens ``[1, tokens, size]``, as :func:`read_pooled`."""
    return _embedding(_PROMPT, candidates)


def _embedding(kind: _Kind, candidates: tuple[Path, ...]) -> Tensor:
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        path = next((path for path in candidates if path.is_symlink()), candidates[-1])
        raise CheckpointError(f"{path}: {kind.what} is missing: {describe_absence(path)}")
    name, found = _choose_tensor(_tensors(path, _MAX_EMBEDDING), kind.names, path)
    tensor = found
    while tensor.dim() > len(kind.axes) and tensor.shape[0] == 1:
        tensor = tensor[0]
    fits = tensor.dim() == len(kind.axes) and tensor.numel() > 0
    if not fits or not tensor.is_floating_point():
        shape = ", ".join(kind.axes)
        raise CheckpointError(
            f"{path}: expected floats [{shape}] or [1, {shape}], found {found.dtype} "
            f"{list(found.shape)}"
        )
    check_finite(name or kind.what, tensor, path)
    return tensor[None].detach().float().contiguous()


def read_positions(path: Path) -> Tensor:
    """Return a cached position table ``[1, positions, size]``, fp32.

    Raises:
        CheckpointError: the file does not hold one tensor of floats.
    """
    _, table = _choose_tensor(_tensors(path, _MAX_POSITIONS), frozenset({"pos_embed"}), path)
    if not table.is_floating_point():
        raise CheckpointError(f"{path}: expected a table of floats, found {table.dtype}")
    check_finite("pos_embed", table, path)
    return (table[None] if table.dim() == 2 else table).detach().float().contiguous()


def _choose_tensor(
    tensors: Mapping[str, Tensor], names: frozenset[str], path: Path
) -> tuple[str, Tensor]:
    """Return the tensor that a file holds, or the one of several that has a known name."""
    known = [name for name in tensors if name in names]
    chosen = known if len(tensors) > 1 else list(tensors)
    others = (_POOLED.names | _PROMPT.names) - names
    if len(chosen) != 1 or chosen[0] in others:
        found = ", ".join(repr(name[:60]) for name in list(tensors)[:8]) or "none"
        raise CheckpointError(
            f"{path}: expected one tensor, or one that is named {' or '.join(sorted(names))}, "
            f"found {found}: save it alone"
        )
    return chosen[0], tensors[chosen[0]]


def _tensors(path: Path, largest: int) -> dict[str, Tensor]:
    """Return a file's tensors by name; one that has no name has an empty one."""
    if is_safetensors(path):
        return read_safetensors(path)[0]
    if path.stat().st_size > largest:
        raise CheckpointError(
            f"{path}: expected {largest / 2**20:g} MB at most, found a huge file; "
            f"copy the checkpoint's own here"
        )
    data = _unpickle(path)
    tensors = {"": data} if isinstance(data, Tensor) else data
    if not isinstance(tensors, dict) or not all(
        isinstance(name, str) and _is_plain(value, largest) for name, value in tensors.items()
    ):
        raise CheckpointError(
            f"{path}: expected one dense tensor of {largest / 2**20:g} MB at most, found a "
            f"{type(data).__name__} of something else: save the tensor alone"
        )
    return tensors


def _is_plain(value: object, largest: int) -> bool:
    """Tell a tensor with values of its own from all others: a small file can claim any shape."""
    return (
        isinstance(value, Tensor)
        and value.layout is torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        and value.numel() * value.element_size() <= largest
    )


def _unpickle(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may raise anything at all
        reason = str(error).strip().split("\n")[0][:120]
        meaning = describe_stand_in(path, pickles=True) or (
            f"it holds more than plain tensors, which may be code, or is damaged ({reason})"
        )
        raise CheckpointError(f"{path}: refused: {meaning}") from error
