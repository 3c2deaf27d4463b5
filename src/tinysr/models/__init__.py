"""Reference models in plain PyTorch, their presets and their checkpoints."""

from tinysr.models.config import HEAD_SIZE, SCALE, ModelConfig, TransformerConfig, VaeConfig
from tinysr.models.families.registry import FAMILIES, find_preset, list_presets
from tinysr.models.family import Family, OneStepModel
from tinysr.models.load import Loaded, load, load_checkpoint, load_teacher
from tinysr.models.one_step import OneStep
from tinysr.models.presets import DEFAULT_PRESET, PRESETS, UNTRAINED
from tinysr.models.source import load_source
from tinysr.models.tinysr import TinySR

__all__ = [
    "DEFAULT_PRESET",
    "FAMILIES",
    "HEAD_SIZE",
    "PRESETS",
    "SCALE",
    "UNTRAINED",
    "Family",
    "Loaded",
    "ModelConfig",
    "OneStep",
    "OneStepModel",
    "TinySR",
    "TransformerConfig",
    "VaeConfig",
    "find_preset",
    "list_presets",
    "load",
    "load_checkpoint",
    "load_source",
    "load_teacher",
]
