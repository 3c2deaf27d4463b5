"""From a preset's name or a checkpoint's path to the eager model."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from torch import nn

from tinysr.errors import CheckpointError
from tinysr.manifest import Source
from tinysr.models.presets import PRESETS
from tinysr.models.seeded import seeded
from tinysr.models.tinysr import TinySR

__all__ = ["Loaded", "load", "load_checkpoint"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """A model and where it came from."""

    model: TinySR
    """In eval mode, fp32, no gradients."""
    source: Source


def load(name_or_folder: str | Path) -> TinySR:
    """Return a preset's or a checkpoint's model: eval mode, fp32, no gradients."""
    return load_checkpoint(name_or_folder).model


def load_checkpoint(name_or_folder: str | Path) -> Loaded:
    """Return a preset's or a checkpoint's model, and its source."""
    name = str(name_or_folder)
    if name not in PRESETS:
        raise CheckpointError(f"no preset and no checkpoint folder '{name}'")
    model = seeded(PRESETS[name])
    weights = resources.files("tinysr.models") / "weights" / f"{name}.safetensors"
    trained = weights.is_file()
    if trained:
        from safetensors.torch import load as read_tensors

        tensors = read_tensors(weights.read_bytes())
        model.load_state_dict({k: v.float() for k, v in tensors.items()}, strict=False)
    return Loaded(
        model=model,
        source=Source(kind="preset", name=name, sha256=_digest(model), trained=trained),
    )


def _digest(model: nn.Module) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(memoryview(tensor.contiguous().numpy()).cast("B"))
    return digest.hexdigest()
