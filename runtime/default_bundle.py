"""The bundle that is used when none is named."""

from __future__ import annotations

from pathlib import Path

import tinysr
from tinysr import paths
from tinysr.errors import BundleError
from tinysr.manifest import MANIFEST_NAME

__all__ = ["LOCAL", "find_bundle"]

LOCAL = Path("bundles/tinysr-nano")
"""Folder of the default model's bundle, where `tinysr export` puts it, relative to the working
directory."""

_PACKAGED = "_bundle"


def find_bundle(named: Path | None = None) -> Path:
    """Return the bundle that was named, else the local one, else the one of the package.

    Raises:
        BundleError: none was named and there is neither.
    """
    if named is not None:
        return named
    packaged = Path(tinysr.__file__).parent / _PACKAGED
    for folder in (LOCAL, packaged):
        if paths.is_file(folder / MANIFEST_NAME, BundleError):
            return folder
    raise BundleError(
        f"no bundle was named, and there is none in {LOCAL} or in the package: "
        f"make one with `tinysr export tinysr-nano -o {LOCAL}`, or name one with --bundle"
    )
