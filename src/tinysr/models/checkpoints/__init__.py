"""Checkpoints: files → named tensors under our own names, and back."""

from tinysr.models.checkpoints.files import tensors_sha256
from tinysr.models.checkpoints.writing import write_safetensors

__all__ = ["tensors_sha256", "write_safetensors"]
