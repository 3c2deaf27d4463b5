"""A full SD3 transformer beside a tiny autoencoder: text stream dropped, layers chosen.

::

    transformer/         diffusers' SD3Transformer2DModel
    vae/                 diffusers' AutoencoderTiny
    pooled.safetensors   or pool_embeds.pt: the prompt's pooled embedding
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinysr.models.checkpoints.embeddings import read_pooled
from tinysr.models.checkpoints.parts import (
    read_autoencoder_class,
    read_class,
    read_transformer,
)
from tinysr.models.families.tinysr.layout import Checkpoint, CheckpointLayout
from tinysr.models.families.tinysr.parts import join, read_vae

__all__ = ["SD3"]

_CLASS = "SD3Transformer2DModel"


def _matches(path: Path) -> bool:
    folders = (path / "transformer", path / "vae")
    return (
        all(folder.is_dir() for folder in folders)
        and read_class(folders[0]) in (None, _CLASS)
        and read_autoencoder_class(path) in (None, "AutoencoderTiny")
    )


def _read(path: Path, layers: Sequence[int] | None) -> Checkpoint:
    config, tensors = join(
        read_vae(path / "vae"),
        read_transformer(path / "transformer", layers),
        read_pooled(path / "pooled.safetensors", path / "pool_embeds.pt"),
        path,
    )
    return Checkpoint(config=config, tensors=tensors)


SD3 = CheckpointLayout(
    name="sd3",
    sign="folders 'transformer' and 'vae', with a tiny autoencoder",
    matches=_matches,
    read=_read,
)
