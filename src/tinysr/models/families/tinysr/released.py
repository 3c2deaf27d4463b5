"""The released folder: a pruned base, a LoRA, a tiny autoencoder and a pooled embedding.

::

    checkpoint/tinybackbone/<name>/transformer/   config.json and safetensors
    checkpoint/tinysr/transformer.safetensors     the LoRA, merged before anything else; or as peft
                                                  and diffusers save it, in that folder
    checkpoint/vae/separable/                     config.json and safetensors
    dataset/default/pool_embeds.pt                or pool_embeds.safetensors
    dataset/cache/pos_embed.pt                    read if the base lacks its position table
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tinysr import paths
from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.hashing import file_sha256
from tinysr.models.checkpoints.embeddings import read_pooled, read_positions
from tinysr.models.checkpoints.lora import find_lora, merge_lora
from tinysr.models.checkpoints.parts import POSITIONS, read_transformer
from tinysr.models.checkpoints.weights import list_visible
from tinysr.models.families.tinysr.layout import Checkpoint, CheckpointLayout
from tinysr.models.families.tinysr.parts import join, read_vae

__all__ = ["RELEASED"]

_BACKBONES = "tinybackbone"


def _find_checkpoint_folder(path: Path) -> Path:
    """Return the ``checkpoint`` folder of a path that is it, or that holds it."""
    inner = path / "checkpoint"
    return inner if (inner / _BACKBONES).is_dir() else path


def _matches(path: Path) -> bool:
    return (_find_checkpoint_folder(path) / _BACKBONES).is_dir()


def _read(path: Path, layers: Sequence[int] | None) -> Checkpoint:
    if layers is not None:
        raise UnsupportedError(f"{path}: layers can't be chosen, this checkpoint is pruned already")
    folder = _find_checkpoint_folder(path)
    dataset = _find_dataset(folder)
    lora = find_lora(folder / "tinysr", "transformer", alone=True)
    config, weights = read_transformer(_find_only(folder / _BACKBONES, "transformer/config.json"))
    weights = merge_lora(weights, lora)
    cache = dataset / "cache" / "pos_embed.pt"
    if POSITIONS not in weights and cache.is_file():
        weights[POSITIONS] = read_positions(cache)
    pooled = dataset / "default" / "pool_embeds.pt"
    model_config, tensors = join(
        read_vae(_find_vae(folder / "vae")),
        (config, weights),
        read_pooled(pooled.with_suffix(".safetensors"), pooled),
        path,
    )
    return Checkpoint(config=model_config, tensors=tensors, lora_sha256=file_sha256(lora))


def _find_dataset(checkpoint: Path) -> Path:
    """Return the folder beside a checkpoint's: where it was named, or where a link leads."""
    named, linked = (
        folder.parent / "dataset"
        for folder in (checkpoint.absolute(), paths.follow_links(checkpoint))
    )
    return named if paths.is_folder(named, CheckpointError) else linked


def _find_vae(folder: Path) -> Path:
    separable = folder / "separable"
    return separable if separable.is_dir() else _find_only(folder, "config.json")


def _find_only(folder: Path, config: str) -> Path:
    """Return the folder of the config that lies in the one subfolder that has it."""
    found = [path / config for path in list_visible(folder) if (path / config).is_file()]
    if len(found) > 1:
        names = ", ".join(str(path.relative_to(folder)) for path in found)
        raise CheckpointError(f"{folder}: expected one model, found {names}: keep one of them")
    if not found:
        raise CheckpointError(
            f"{folder}: no folder here has a {config}: copy it from where the weights are from"
        )
    return found[0].parent


RELEASED = CheckpointLayout(
    name="released",
    sign=f"a folder 'checkpoint' with '{_BACKBONES}' in it",
    matches=_matches,
    read=_read,
)
