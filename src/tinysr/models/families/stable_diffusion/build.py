"""Configs and tensors as read from files → a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.keys import fill_model
from tinysr.models.families.stable_diffusion.config import StableDiffusionConfig
from tinysr.models.families.stable_diffusion.model import StableDiffusionSr

__all__ = ["build_config", "build_model"]


def build_config(data: Mapping[str, Any], path: Path) -> StableDiffusionConfig:
    """Return the config that a file states.

    Raises:
        CheckpointError: it is refused; the message names the file.
    """
    try:
        return StableDiffusionConfig.from_dict(data)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def build_model(
    config: StableDiffusionConfig, tensors: Mapping[str, Tensor], path: Path
) -> StableDiffusionSr:
    """Return the model of a config with these very tensors, in eval mode, without gradients.

    Raises:
        CheckpointError: a tensor is missing, unexpected, or of another shape.
    """
    with torch.device("meta"):
        model = StableDiffusionSr(config)
    return fill_model(model, tensors, path)
