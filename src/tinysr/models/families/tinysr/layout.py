"""A checkpoint as read: a config, tensors under our own names, and the layout it came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tinysr.models.checkpoints.keys import fill_model
from tinysr.models.families.tinysr.bounds import check_sizes
from tinysr.models.families.tinysr.config import ModelConfig
from tinysr.models.families.tinysr.model import TinySR

__all__ = ["Checkpoint", "CheckpointLayout", "assemble"]


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


def assemble(config: ModelConfig, tensors: Mapping[str, Tensor], path: Path) -> TinySR:
    """Return the model of a config with these very tensors, in eval mode, without gradients.

    Raises:
        CheckpointError: a tensor is missing, unexpected, or of another shape.
    """
    check_sizes(config, path)
    with torch.device("meta"):
        model = TinySR(config)
    return fill_model(model, tensors, path)
