"""Writing a package into a bundle, and what it says of itself."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinysr import paths
from tinysr.errors import BundleError, require
from tinysr.export.files import describe_file
from tinysr.manifest import FileEntry
from tinysr.runtime.mil import model_file
from tinysr.stages import IMAGE, RESULT

from .tools import EXTRA, coremltools, silence_coremltools

__all__ = ["AUTHOR", "add_hash", "describe", "find_licence", "package_files", "save"]

AUTHOR = "TinySR"

_DESCRIPTION = (
    "Enlarges a photo {scale} times: one tile of {tile} by {tile} pixels becomes {large} by "
    "{large}. Computes in {precision}."
)
_PORTS = {IMAGE: "A tile of RGB pixels.", RESULT: "The tile, larger, in RGB."}
_INNER = "What one stage gives, and the next one takes."
_OURS = "Apache-2.0"
_THEIRS = (
    "That of the checkpoint '{name}'. Weights that derive from Stable Diffusion 3 carry its "
    "licence."
)
_DAY = "com.github.apple.coremltools.conversion_date"
"""The one entry that would differ from day to day."""


def add_hash(facts: Mapping[str, str]) -> dict[str, str]:
    """Return what a package says of itself, with the hash of all of it.

    The hash ties a package that was copied out of its bundle to the bundle. So the facts must be
    all that decides what is in the package: checkpoint, plans, tile, precision and options.
    """
    text = json.dumps(dict(facts), sort_keys=True)
    return {**facts, "bundle_sha256": hashlib.sha256(text.encode()).hexdigest()}


def find_licence(facts: Mapping[str, str]) -> str:
    """Return the licence of the weights; a preset's are this project's, whatever their name."""
    if facts["checkpoint_kind"] == "preset":
        return _OURS
    return _THEIRS.format(name=facts["checkpoint"])


def save(models: Mapping[str, Any], path: Path) -> None:
    """Write a package of one function, or of several that share one copy of their weights.

    Args:
        models: ``coremltools.models.MLModel`` by function; the first is what an app gets that names
            none. A single one is called "main" in its package, as iOS 17 has it.
        path: of the ``.mlpackage``.

    Raises:
        BundleError: it can't be written whole.
    """
    try:
        with silence_coremltools():
            if len(models) == 1:
                next(iter(models.values())).save(str(path))
            else:
                _save_joined(models, path)
    except (OSError, RuntimeError) as error:
        shutil.rmtree(path, ignore_errors=True)
        raise BundleError(f"{path.name}: can't be written: {error}") from error


def _save_joined(models: Mapping[str, Any], path: Path) -> None:
    utils: Any = coremltools().utils
    # Beside the package: where it has room, there is room for these.
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        functions = utils.MultiFunctionDescriptor()
        for name, model in models.items():
            own = str(Path(folder) / f"{name}.mlpackage")
            model.save(own)
            functions.add_function(own, src_function_name="main", target_function_name=name)
        functions.default_function_name = next(iter(models))
        utils.save_multifunction(functions, str(path))


def describe(
    path: Path, facts: Mapping[str, str], images: Mapping[str, Sequence[int]] | None = None
) -> None:
    """Write author, licence, descriptions and origin into a saved package.

    Args:
        path: of the ``.mlpackage``.
        facts: from :func:`add_hash`.
        images: by the functions that choose from sizes, the sides of the images that they give, the
            default first: coremltools describes them as any size, with a default of one pixel.
    """
    file = model_file(path)
    model = require("coremltools.proto.Model_pb2", extra=EXTRA).Model()
    model.ParseFromString(file.read_bytes())
    tile, scale = int(facts["tile"]), int(facts["scale"])
    own = model.description.metadata
    own.author = AUTHOR
    own.license = find_licence(facts)
    own.versionString = importlib.metadata.version("tinysr")
    own.shortDescription = _DESCRIPTION.format(
        scale=scale, tile=tile, large=tile * scale, precision=facts["precision"]
    )
    own.userDefined.update(facts)
    own.userDefined.pop(_DAY, None)
    for part in (model.description, *model.description.functions):
        for port in (*part.input, *part.output):
            port.shortDescription = _PORTS.get(port.name, _INNER)
    for function, sides in (images or {}).items():
        parts = model.description.functions
        part = next((p for p in parts if p.name == function), model.description)
        _list_sizes(part.output[0].type.imageType, sides)
    file.write_bytes(model.SerializeToString(deterministic=True))


def _list_sizes(image: Any, sides: Sequence[int]) -> None:
    """Describe an image as square, of one of these sides."""
    image.width = image.height = sides[0]
    del image.enumeratedSizes.sizes[:]
    for side in sides:
        image.enumeratedSizes.sizes.add(width=side, height=side)


def package_files(bundle: Path, path: Path) -> tuple[FileEntry, tuple[FileEntry, ...]]:
    """Return a package's model, and its other files."""
    model = model_file(path)
    others = [file for file in paths.files_below(path, BundleError) if file != model]
    return describe_file(bundle, model), tuple(describe_file(bundle, file) for file in others)
