"""The bundle that is used when none is named."""

from __future__ import annotations

from pathlib import Path

import tinysr
from tinysr import paths
from tinysr.errors import BundleError
from tinysr.manifest import MANIFEST_NAME, read_manifest

__all__ = ["DEFAULT", "LOCAL", "find_bundle", "find_scale"]

DEFAULT = "tinysr-nano"
"""Name of the bundle that is used when none is named."""

LOCAL = Path("bundles")
"""Folder where `tinysr export` puts bundles, relative to the working directory."""

_PACKAGED = "_bundles"

_USUAL_SCALE = 4.0


def find_scale(named: Path | None = None) -> float:
    """Return a bundle's own scale; the usual one for a bundle that can't be read."""
    try:
        return read_manifest(find_bundle(named)).chain.scale
    except BundleError:
        return _USUAL_SCALE


def find_bundle(named: Path | None = None) -> Path:
    """Return the folder that was named, else the bundle of that name, or the default one.

    A bundle of a name, such as `tinysr-nano-faithful`, is the local one, else the package's.

    Raises:
        BundleError: there is neither.
    """
    if named is not None and (paths.exists(named, BundleError) or len(named.parts) > 1):
        return named
    name = str(named or DEFAULT)
    packaged = Path(tinysr.__file__).parent / _PACKAGED
    for folder in (LOCAL / name, packaged / name):
        if paths.is_file(folder / MANIFEST_NAME, BundleError):
            return folder
    said = "no bundle was named" if named is None else f"there is no folder '{name}'"
    raise BundleError(
        f"{said}, and there is no bundle in {LOCAL / name} or in the package: "
        f"make one with `tinysr export {name} -o {LOCAL / name}`, or give a bundle's folder with "
        "--bundle"
    )
