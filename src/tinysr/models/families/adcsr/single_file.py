"""AdcSR as one safetensors file of our own, with the config in its metadata."""

from __future__ import annotations

from pathlib import Path

import torch

from tinysr.models.checkpoints import metadata
from tinysr.models.families.adcsr.build import build_adcsr, build_config
from tinysr.models.families.adcsr.chain import DECODER, UNET
from tinysr.models.families.adcsr.config import FAMILY
from tinysr.models.families.adcsr.model import AdcSR

__all__ = ["is_single_file", "read_single_file", "save_single_file"]


def save_single_file(model: AdcSR, path: Path, dtype: torch.dtype = torch.float32) -> None:
    """Write a model and its config, atomically.

    Raises:
        UnsupportedError: ``dtype`` is neither float32 nor float16.
        CheckpointError: a value is, or becomes in float16, NaN or infinite.
    """
    metadata.write_single_file(model.state_dict(), model.facts, path, dtype)


def is_single_file(path: Path) -> bool:
    """Tell whether a file is one of these, by its metadata."""
    return metadata.is_of_family(path, FAMILY)


def read_single_file(path: Path) -> AdcSR:
    """Return the model of a file: eval mode, fp32, no gradients.

    Raises:
        CheckpointError: the file is damaged or hostile, or its tensors do not fit its config.
    """
    config, tensors = metadata.read_single_file(path, (UNET, DECODER), build_config)
    return build_adcsr(config, tensors, path)
