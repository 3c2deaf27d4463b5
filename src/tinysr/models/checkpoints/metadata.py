"""Metadata of our own files: the config, which says of which family a model is."""

from __future__ import annotations

import json
from pathlib import Path

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints.files import read_safetensors

__all__ = ["FORMAT", "read_family"]

FORMAT = "tinysr"
"""Value of ``format`` in the metadata."""


def read_family(path: Path) -> str | None:
    """Return the family that a safetensors file states; None if it states none, or is damaged."""
    try:
        metadata = read_safetensors(path, lambda _name: False)[1]
        config = json.loads(metadata["config"]) if metadata.get("format") == FORMAT else None
    except (CheckpointError, KeyError, ValueError, RecursionError):
        return None
    family = config.get("family") if isinstance(config, dict) else None
    return family if isinstance(family, str) else None
