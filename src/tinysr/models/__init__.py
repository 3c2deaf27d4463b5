"""Reference models in plain PyTorch, their presets and their checkpoints."""

from tinysr.models.config import HEAD_SIZE, SCALE, ModelConfig, TransformerConfig, VaeConfig
from tinysr.models.load import Loaded, load, load_checkpoint, load_teacher
from tinysr.models.one_step import OneStep
from tinysr.models.presets import DEFAULT_PRESET, PRESETS, UNTRAINED
from tinysr.models.source import load_source
from tinysr.models.tinysr import TinySR

__all__ = [
    "DEFAULT_PRESET",
    "HEAD_SIZE",
    "PRESETS",
    "SCALE",
    "UNTRAINED",
    "Loaded",
    "ModelConfig",
    "OneStep",
    "TinySR",
    "TransformerConfig",
    "VaeConfig",
    "load",
    "load_checkpoint",
    "load_source",
    "load_teacher",
]
