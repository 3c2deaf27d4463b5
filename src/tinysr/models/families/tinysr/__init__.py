"""TinySR: a tiny autoencoder around SD3's image stream, conditions folded away."""

from tinysr.models.families.tinysr.config import ModelConfig
from tinysr.models.families.tinysr.model import TinySR
from tinysr.models.families.tinysr.single_file import save_single_file

__all__ = ["ModelConfig", "TinySR", "save_single_file"]
