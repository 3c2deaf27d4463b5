"""Named tensors → a model: every key accounted for, nothing allocated twice."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.models.config import ModelConfig, TransformerConfig, VaeConfig
from tinysr.models.one_step import OneStep
from tinysr.models.teachers import TsdSrConfig
from tinysr.models.tinysr import TinySR

__all__ = ["MAX_LISTED", "assemble", "check_int", "check_parts", "check_sizes", "filled"]

Model = TypeVar("Model", bound=OneStep)

MAX_LISTED = 8
"""Keys of one kind that an error lists; the others are counted."""

# A hostile config must not make us allocate: these are far above any model of this family.
_BOUNDS = {
    "depth": (1, 64),
    "heads": (1, 64),
    "latent_channels": (1, 64),
    "patch": (1, 8),
    "pooled_size": (1, 8192),
    "time_channels": (2, 1024),
    "position_grid": (1, 192),
    "width": (1, 512),
}
_LEVELS = 4  # an image side is 8 latent pixels' worth
_MAX_BLOCKS = 16


def check_sizes(config: ModelConfig, path: Path) -> None:
    """Refuse a config whose values are of the wrong type, absurd, or contradict each other.

    Raises:
        CheckpointError: it does so.
    """
    if config.family != ModelConfig().family:
        raise CheckpointError(
            f"{path}: the family is {config.family!r:.80}, expected '{ModelConfig().family}'"
        )
    _check_vae(config.vae, path)
    check_parts(config, path)


def check_parts(config: ModelConfig | TsdSrConfig, path: Path) -> None:
    """Refuse what no transformer can be, and one that does not fit its autoencoder.

    Raises:
        CheckpointError: it is so.
    """
    _check_bounds(config.transformer, path)
    for name, number in (
        ("scaling_factor", config.vae.scaling_factor),
        ("timestep", config.timestep),
    ):
        real = isinstance(number, int | float) and not isinstance(number, bool)
        if not real or not math.isfinite(number) or number <= 0:
            raise CheckpointError(f"{path}: {name} is {number!r:.80}, expected a positive number")
    if config.transformer.time_channels % 2:
        raise CheckpointError(f"{path}: time_channels is odd: a sine and a cosine make a pair")
    if config.vae.latent_channels != config.transformer.latent_channels:
        raise CheckpointError(
            f"{path}: the autoencoder has {config.vae.latent_channels} latent channels, "
            f"the transformer {config.transformer.latent_channels}; they must agree"
        )


def _check_vae(vae: VaeConfig, path: Path) -> None:
    _check_bounds(vae, path)
    for name in ("encoder_blocks", "decoder_blocks"):
        blocks = getattr(vae, name)
        if not isinstance(blocks, tuple) or len(blocks) != _LEVELS:
            raise CheckpointError(f"{path}: {name} is {blocks!r:.80}, expected {_LEVELS} integers")
        for count in blocks:
            check_int(name, count, 0, _MAX_BLOCKS, path)
    for name in ("separable_encoder", "separable_decoder"):
        if not isinstance(getattr(vae, name), bool):
            raise CheckpointError(f"{path}: {name} is not true or false")


def _check_bounds(part: VaeConfig | TransformerConfig, path: Path) -> None:
    for name, (low, high) in _BOUNDS.items():
        check_int(name, getattr(part, name, low), low, high, path)


def check_int(name: str, value: object, low: int, high: int, path: Path) -> None:
    """Refuse what is not an integer from ``low`` to ``high``."""
    if type(value) is not int or not low <= value <= high:
        raise CheckpointError(
            f"{path}: {name} is {value!r:.80}, expected an integer from {low} to {high}"
        )


def assemble(config: ModelConfig, tensors: Mapping[str, Tensor], path: Path) -> TinySR:
    """Return the model of a config with these very tensors, in eval mode, without gradients.

    Raises:
        CheckpointError: a tensor is missing, unexpected, or of another shape.
    """
    check_sizes(config, path)
    with torch.device("meta"):
        model = TinySR(config)
    return filled(model, tensors, path)


def filled(model: Model, tensors: Mapping[str, Tensor], path: Path) -> Model:
    """Return a model without memory filled with these very tensors, in eval mode.

    Raises:
        CheckpointError: a tensor is missing, unexpected, or of another shape.
    """
    if problems := _problems(model.state_dict(), tensors):
        raise CheckpointError(f"{path}: the weights do not fit the config: {'; '.join(problems)}")
    model.load_state_dict(dict(tensors), assign=True)
    return model.requires_grad_(False).eval()


def _problems(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> list[str]:
    shapes = [
        f"{name} is {list(found[name].shape)}, expected {list(tensor.shape)}"
        for name, tensor in expected.items()
        if name in found and found[name].shape != tensor.shape
    ]
    kinds = {
        "missing": [name for name in expected if name not in found],
        "unexpected": sorted(found.keys() - expected.keys()),
        "wrong shape": shapes,
    }
    return [f"{kind}: {_listed(names)}" for kind, names in kinds.items() if names]


def _listed(names: list[str]) -> str:
    more = len(names) - MAX_LISTED
    return ", ".join(names[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")
