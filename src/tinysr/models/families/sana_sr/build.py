"""Configs and tensors as read from files → SANA-SR."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.keys import fill_model
from tinysr.models.families.sana_sr.config import SanaSrConfig
from tinysr.models.families.sana_sr.model import SanaSR

__all__ = ["build_config", "build_sana_sr"]


def build_config(data: Mapping[str, Any], path: Path) -> SanaSrConfig:
    """Return the config that a file states.

    Raises:
        CheckpointError: it is refused; the message names the file.
    """
    try:
        return SanaSrConfig.from_dict(data)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def build_sana_sr(config: SanaSrConfig, tensors: Mapping[str, Tensor], path: Path) -> SanaSR:
    """Return the model of a config with these very tensors, in eval mode, without gradients.

    Raises:
        CheckpointError: a tensor is missing, unexpected, or of another shape.
    """
    with torch.device("meta"):
        model = SanaSR(config)
    return fill_model(model, tensors, path)
