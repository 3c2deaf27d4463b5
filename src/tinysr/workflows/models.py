"""Models by the name that a user gives: a preset, a checkpoint, or a bundle made from a preset."""

from __future__ import annotations

from pathlib import Path

from tinysr import paths
from tinysr.errors import UnsupportedError
from tinysr.manifest import MANIFEST_NAME, read_manifest
from tinysr.models import Loaded, load_checkpoint, load_source

__all__ = ["open_model"]


def open_model(model: str) -> tuple[Loaded, int | None]:
    """Return a model, and the side of a tile where a bundle was given.

    Raises:
        UnsupportedError: the bundle was made from a checkpoint, and does not hold it.
        CheckpointError: the checkpoint can't be used.
    """
    if paths.is_file(Path(model) / MANIFEST_NAME, UnsupportedError):
        manifest = read_manifest(Path(model))
        if manifest.source.kind != "preset":
            raise UnsupportedError(
                f"the bundle was made from the checkpoint '{manifest.source.name}': give the "
                "checkpoint in the bundle's place"
            )
        return load_source(manifest.source, None), manifest.tile
    return load_checkpoint(model), None
