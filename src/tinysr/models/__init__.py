"""Reference models in plain PyTorch, their presets and their checkpoints."""

from tinysr.models.families.registry import FAMILIES, find_preset, list_presets
from tinysr.models.families.tinysr.config import ModelConfig
from tinysr.models.families.tinysr.model import TinySR
from tinysr.models.families.tinysr.presets import DEFAULT_PRESET, PRESETS, UNTRAINED
from tinysr.models.family import Family, OneStepModel
from tinysr.models.layers.autoencoder_tiny import VaeConfig
from tinysr.models.layers.sd3 import HEAD_SIZE, TransformerConfig
from tinysr.models.load import Loaded, load, load_checkpoint
from tinysr.models.one_step import SCALE, OneStep
from tinysr.models.source import load_source

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
]
