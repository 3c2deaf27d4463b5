"""Documents for mobile teams in a bundle with a Core ML package: a page, and TinySRKit."""

from __future__ import annotations

import shutil
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from tinysr import paths
from tinysr.atomic import write_atomically
from tinysr.errors import BundleError
from tinysr.manifest import MANIFEST_NAME, FileEntry, Manifest, read_manifest, to_json

from ..files import describe_file
from .page import mobile_page

__all__ = ["add_mobile_documents", "copy_swift_package"]

_FOLDER = "coreml"
_KIT = "TinySRKit"
_PAGE = "README.md"

_PARTS = ("Package.swift", "Sources", "Tests", "Examples")
"""Parts of the Swift package; what Xcode and Swift leave beside them stays where it is."""


def add_mobile_documents(bundle: Path) -> Manifest:
    """Write the page and TinySRKit into a bundle, and both into its manifest.

    Call it in the bundle's temporary folder, when the gate has written its verdicts: the page
    shows them. Documents of an earlier call are replaced.

    Returns:
        The new manifest.

    Raises:
        BundleError: the bundle has no Core ML package, or can't be written.
    """
    manifest = read_manifest(bundle)
    page = mobile_page(manifest)
    others = tuple(entry for entry in manifest.documents if not _is_ours(entry))
    try:
        path = bundle / _FOLDER / _PAGE
        write_atomically(path, page)
        documents = (*others, describe_file(bundle, path), *copy_swift_package(bundle))
        manifest = manifest.model_copy(update={"documents": documents})
        write_atomically(bundle / MANIFEST_NAME, to_json(manifest))
    except OSError as error:
        raise BundleError(f"{bundle}: can't be written: {error.strerror or error}") from error
    return manifest


def copy_swift_package(bundle: Path) -> tuple[FileEntry, ...]:
    """Copy TinySRKit to ``coreml/TinySRKit`` of a bundle, in place of an older copy.

    Raises:
        BundleError: this installation has no TinySRKit, or the bundle can't be written.
    """
    source = resources.files("tinysr.runtime") / "swift"
    missing = [part for part in _PARTS if not _exists(source / part)]
    if missing:
        raise BundleError(
            f"expected {_KIT} in the installed package, found no {missing[0]}; install tinysr again"
        )
    target = bundle / _FOLDER / _KIT
    try:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for part in _PARTS:
            _copy(source / part, target / part)
    except OSError as error:
        raise BundleError(f"{target}: can't be written: {error.strerror or error}") from error
    return tuple(describe_file(bundle, path) for path in paths.files_below(target, BundleError))


def _copy(source: Traversable, target: Path) -> None:
    if source.is_file():
        target.write_bytes(source.read_bytes())
        return
    target.mkdir()
    for item in source.iterdir():
        if not item.name.startswith("."):
            _copy(item, target / item.name)


def _exists(item: Traversable) -> bool:
    return item.is_file() or item.is_dir()


def _is_ours(entry: FileEntry) -> bool:
    return entry.path == f"{_FOLDER}/{_PAGE}" or entry.path.startswith(f"{_FOLDER}/{_KIT}/")
