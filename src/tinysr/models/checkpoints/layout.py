"""A checkpoint as read: a config, tensors under our own names, and the layout it came from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from tinysr.models.config import ModelConfig

__all__ = ["Checkpoint", "CheckpointLayout"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """A checkpoint that was read but not yet held against its config."""

    config: ModelConfig
    tensors: dict[str, Tensor]
    """fp32, under the names of :class:`tinysr.models.TinySR`, LoRA merged."""
    lora_sha256: str | None = None
    """Hash of the LoRA's file; None without a LoRA."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckpointLayout:
    """A way in which checkpoints lie on disk."""

    name: str
    """Name of the layout, as a manifest has it."""
    sign: str
    """Sign by which the layout is recognised, for messages."""
    matches: Callable[[Path], bool]
    """Tells whether a path looks like this layout, from names alone."""
    read: Callable[[Path, Sequence[int] | None], Checkpoint]
    """Reads it; the numbers are the transformer layers to keep, None for all."""
