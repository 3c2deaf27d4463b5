"""The eager model that something was made from, held against the hash that it recorded."""

from __future__ import annotations

from pathlib import Path

from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.manifest import Source
from tinysr.models.load import Loaded, load_checkpoint

__all__ = ["load_source"]


def load_source(source: Source, model: str | Path | None = None, *, trust: bool = False) -> Loaded:
    """Load the eager model that a bundle was made from.

    A name alone says little: weights of a preset change from version to version, and a path may
    hold anything. So whoever has a manifest loads its model with this.

    Args:
        source: the manifest's.
        model: where the model is; None takes the preset that the bundle was made from.
        trust: whether a file may be opened that can run any code.

    Raises:
        UnsupportedError: it was made from a checkpoint, and ``model`` is not given.
        CheckpointError: the model is another one than the bundle's.
    """
    if model is None and source.kind != "preset":
        raise UnsupportedError(
            f"the bundle was made from the checkpoint '{source.name}': give its path with --model"
        )
    place = source.name if model is None else model
    loaded = load_checkpoint(place, layers=source.layers, trust=trust)
    if loaded.source.sha256 != source.sha256:
        raise CheckpointError(
            f"the bundle was made from another model: expected SHA-256 {source.sha256}, "
            f"found {loaded.source.sha256} in {place}"
        )
    return loaded
