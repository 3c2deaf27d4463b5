"""Files of a bundle, and a folder that is complete or absent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tinysr import paths, places
from tinysr.abandoned import remove_abandoned
from tinysr.atomic import replace_folder, temporary_folder
from tinysr.errors import BundleError
from tinysr.hashing import file_sha256
from tinysr.manifest import MANIFEST_NAME, FileEntry

__all__ = ["check_target", "describe_file", "replace_whole"]


def describe_file(bundle: Path, path: Path) -> FileEntry:
    """Describe a file of a bundle: its relative path, hash and size."""
    return FileEntry(
        path=path.relative_to(bundle).as_posix(),
        sha256=file_sha256(path),
        size=paths.size(path, BundleError),
    )


@contextlib.contextmanager
def replace_whole(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a folder beside ``target`` that takes its place when the block ends without error.

    Args:
        target: the folder to make.
        overwrite: replace an older bundle that stands there.

    Raises:
        BundleError: something stands there that may not be replaced, or the place can't be
            written.
    """
    check_target(target, overwrite=overwrite)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(target.parent)
        with temporary_folder(target) as work:
            yield work
            work.chmod(0o755)
            _put(work, target)
    except OSError as error:  # a full disk says so when the weights are written
        raise BundleError(f"{target}: can't be written: {paths.reason(error)}") from error


def check_target(target: Path, *, overwrite: bool) -> None:
    """Refuse to replace anything but, when asked to, an older bundle.

    Raises:
        BundleError: something stands at ``target``, it has no name of its own, or nothing can be
            made there.
    """
    if target.name in ("", ".."):
        raise BundleError(f"{target}: expected a folder to make, with a name")
    places.check_creatable(target, BundleError)
    if paths.is_folder(target, BundleError) and not paths.is_link(target):
        if not paths.list_folder(target, BundleError):
            return
        if paths.is_file(target / MANIFEST_NAME, BundleError):
            if overwrite:
                return
            raise BundleError(f"{target}: a bundle is here already; --overwrite replaces it")
    if paths.is_link(target) or paths.exists(target, BundleError):
        words = "something that is not a bundle is here; choose another output"
        raise BundleError(f"{target}: {words}")


def _put(work: Path, target: Path) -> None:
    if not paths.exists(target, BundleError):
        work.rename(target)
        return
    replace_folder(target, work)
