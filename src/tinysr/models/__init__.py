"""Reference models in plain PyTorch, their presets and their checkpoints."""

from tinysr.models.config import HEAD_SIZE, SCALE, ModelConfig, TransformerConfig, VaeConfig
from tinysr.models.load import Loaded, load, load_checkpoint
from tinysr.models.presets import DEFAULT_PRESET, PRESETS, UNTRAINED
from tinysr.models.tinysr import TinySR

__all__ = [
    "DEFAULT_PRESET",
    "HEAD_SIZE",
    "PRESETS",
    "SCALE",
    "UNTRAINED",
    "Loaded",
    "ModelConfig",
    "TinySR",
    "TransformerConfig",
    "VaeConfig",
    "load",
    "load_checkpoint",
]
