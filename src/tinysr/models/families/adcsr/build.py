"""Configs and tensors as read from files → AdcSR."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.keys import fill_model
from tinysr.models.families.adcsr.config import AdcSrConfig
from tinysr.models.families.adcsr.model import AdcSR

__all__ = ["build_adcsr", "build_config"]


def build_config(data: Mapping[str, Any], path: Path) -> AdcSrConfig:
    """Return the config that a file states.

    Raises:
        CheckpointError: it is refused; the message names the file.
    """
    try:
        return AdcSrConfig.from_dict(data)
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error}") from error


def build_adcsr(config: AdcSrConfig, tensors: Mapping[str, Tensor], path: Path) -> AdcSR:
    """Return the model of a config with these very tensors, in eval mode, without gradients.

    Raises:
        CheckpointError: a tensor is missing, unexpected, or of another shape.
    """
    with torch.device("meta"):
        model = AdcSR(config)
    return fill_model(model, tensors, path)
