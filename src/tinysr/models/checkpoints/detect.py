"""Layouts in the order in which a path is tried against them."""

from __future__ import annotations

from pathlib import Path

from tinysr import paths
from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.models.checkpoints.layout import CheckpointLayout
from tinysr.models.checkpoints.released import RELEASED
from tinysr.models.checkpoints.sd3 import SD3
from tinysr.models.checkpoints.single_file import SINGLE_FILE
from tinysr.models.presets import PRESETS

__all__ = ["LAYOUTS", "detect"]

# The first that matches is taken. A file can only be the first; a released folder may hold other
# folders beside its own, so it is asked for before the plain pair of folders.
LAYOUTS: tuple[CheckpointLayout, ...] = (SINGLE_FILE, RELEASED, SD3)


def detect(path: Path) -> CheckpointLayout:
    """Return the layout of a checkpoint, told from names alone.

    Raises:
        UnsupportedError: there is nothing at ``path``, and no preset has its name.
        CheckpointError: what is there has no known layout.
    """
    if not paths.exists(path, CheckpointError):
        raise UnsupportedError(
            f"unknown model '{path}': expected a preset ({', '.join(sorted(PRESETS))}) or a "
            f"checkpoint's folder or .safetensors file, and nothing was found at that path"
        )
    for layout in LAYOUTS:
        if layout.matches(path):
            return layout
    if paths.is_file(path, CheckpointError):
        raise CheckpointError(f"{path}: only .safetensors files are read, pickles may hold code")
    signs = "; ".join(f"{layout.name} ({layout.sign})" for layout in LAYOUTS)
    raise CheckpointError(f"{path}: no known checkpoint layout here: expected {signs}")
