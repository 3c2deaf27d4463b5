"""Checkpoint layouts: one file each, and what they share."""

from tinysr.models.checkpoints.files import tensors_sha256
from tinysr.models.checkpoints.keys import assemble
from tinysr.models.checkpoints.layout import Checkpoint, CheckpointLayout
from tinysr.models.checkpoints.single_file import save_single_file
from tinysr.models.checkpoints.writing import write_safetensors

__all__ = [
    "Checkpoint",
    "CheckpointLayout",
    "assemble",
    "save_single_file",
    "tensors_sha256",
    "write_safetensors",
]
