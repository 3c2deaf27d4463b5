"""Writing a package into a bundle, and describing it."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tinysr.errors import BundleError
from tinysr.manifest import FileEntry
from tinysr.models import PRESETS

from ..files import file_entry
from .tools import quiet

__all__ = ["bundle_sha256", "described", "licence", "package_files", "save"]

AUTHOR = "TinySR"

_DESCRIPTION = (
    "Enlarges a photo four times: one tile of {tile} by {tile} pixels becomes {large} by {large}. "
    "Computes in {precision}."
)
_PORTS = {
    "image": "A tile of RGB pixels.",
    "upscaled": "The tile, four times as wide and high, in RGB.",
    "latents": "What the encoder makes of an image, at half its size. The decoder takes latents "
    "less their velocity.",
    "velocity": "To be subtracted from the latents.",
}
_OURS = "Apache-2.0"
_THEIRS = (
    "That of the checkpoint '{name}'. Weights that derive from Stable Diffusion 3 carry its "
    "licence."
)
_NOISE = "com.github.apple.coremltools.conversion_date"
"""The one entry that would differ from day to day."""


def bundle_sha256(metadata: Mapping[str, str]) -> str:
    """Return the hash of all that decides a bundle's contents: checkpoint, plan, tile, precision.

    It ties a package that was copied out of its bundle to the bundle.
    """
    return hashlib.sha256(json.dumps(dict(metadata), sort_keys=True).encode()).hexdigest()


def licence(checkpoint: str) -> str:
    """Return the licence of a checkpoint's weights."""
    return _OURS if checkpoint in PRESETS else _THEIRS.format(name=checkpoint)


def described(model: Any, metadata: Mapping[str, str], options: Mapping[str, str]) -> Any:
    """Write author, licence, descriptions and origin into a model.

    Args:
        model: a ``coremltools.models.MLModel``.
        metadata: of the bundle and the precision.
        options: how the package was made.
    """
    tile, scale = int(metadata["tile"]), int(metadata["scale"])
    model.author = AUTHOR
    model.license = licence(metadata["checkpoint"])
    model.version = importlib.metadata.version("tinysr")
    model.short_description = _DESCRIPTION.format(
        tile=tile, large=tile * scale, precision=metadata["precision"]
    )
    own = {**metadata, **options, "bundle_sha256": bundle_sha256(metadata)}
    for key, value in sorted(own.items()):
        model.user_defined_metadata[key] = value
    model.user_defined_metadata.pop(_NOISE, None)
    _describe_ports(model.get_spec().description)
    return model


def _describe_ports(description: Any) -> None:
    for part in (*(description.functions or ()), description):
        for port in (*part.input, *part.output):
            port.shortDescription = _PORTS.get(port.name, "")


def save(model: Any, path: Path) -> None:
    """Write a package.

    Raises:
        BundleError: it can't be written whole.
    """
    try:
        with quiet():
            model.save(str(path))
    except (OSError, RuntimeError) as error:
        shutil.rmtree(path, ignore_errors=True)
        raise BundleError(f"{path.name}: can't be written: {error}") from error


def package_files(bundle: Path, path: Path) -> tuple[FileEntry, tuple[FileEntry, ...]]:
    """Return a package's model, and its other files."""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    models = [file for file in files if file.suffix == ".mlmodel"]
    if len(models) != 1:
        raise BundleError(f"{path.name}: expected one model in the package, found {len(models)}")
    others = tuple(file_entry(bundle, file) for file in files if file not in models)
    return file_entry(bundle, models[0]), others
