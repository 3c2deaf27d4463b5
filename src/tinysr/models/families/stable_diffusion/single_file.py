"""PiSA-SR or OSEDiff as one safetensors file of our own, with the config in its metadata."""

from __future__ import annotations

from pathlib import Path

import torch

from tinysr.models.checkpoints import metadata
from tinysr.models.families.stable_diffusion.build import build_config, build_model
from tinysr.models.families.stable_diffusion.chain import STAGES
from tinysr.models.families.stable_diffusion.model import StableDiffusionSr

__all__ = ["is_single_file", "read_single_file", "save_single_file"]


def save_single_file(
    model: StableDiffusionSr, path: Path, dtype: torch.dtype = torch.float32
) -> None:
    """Write a model and its config, atomically.

    Raises:
        UnsupportedError: ``dtype`` is neither float32 nor float16.
        CheckpointError: a value is, or becomes in float16, NaN or infinite.
    """
    metadata.write_single_file(model.state_dict(), model.facts, path, dtype)


def is_single_file(path: Path, family: str) -> bool:
    """Tell whether a file is one of these, and of a family, by its metadata."""
    return metadata.is_of_family(path, family)


def read_single_file(path: Path) -> StableDiffusionSr:
    """Return the model of a file: eval mode, fp32, no gradients.

    Raises:
        CheckpointError: the file is damaged or hostile, or its tensors do not fit its config.
    """
    config, tensors = metadata.read_single_file(path, STAGES, build_config)
    return build_model(config, tensors, path)
