"""Named configurations."""

from __future__ import annotations

from tinysr.models.families.tinysr.config import ModelConfig
from tinysr.models.layers.autoencoder_tiny import VaeConfig
from tinysr.models.layers.sd3 import TransformerConfig

__all__ = ["DEFAULT_PRESET", "PRESETS", "UNTRAINED"]

# The paper's operations at a size that two CPU cores train and any phone runs.
_NANO = ModelConfig(
    vae=VaeConfig(width=32),
    transformer=TransformerConfig(depth=6, heads=3, pooled_size=64),
)

PRESETS: dict[str, ModelConfig] = {
    # The paper's size: 341.57 M parameters once folded.
    "tinysr": ModelConfig(),
    # Natural: the textures of an image teacher.
    "tinysr-nano": _NANO,
    # Faithful: it never invents.
    "tinysr-nano-faithful": _NANO,
}

DEFAULT_PRESET = "tinysr-nano"

UNTRAINED = frozenset({"tinysr"})
"""Presets without public weights: they load with seeded ones, and say so."""
