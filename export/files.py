"""Files of a bundle, and a folder that is complete or absent."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tinysr.errors import BundleError
from tinysr.manifest import MANIFEST_NAME, FileEntry

__all__ = ["atomic_folder", "check_target", "file_entry"]


def file_entry(bundle: Path, path: Path) -> FileEntry:
    """Describe a file of a bundle: its relative path, hash and size."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return FileEntry(
        path=path.relative_to(bundle).as_posix(), sha256=digest, size=path.stat().st_size
    )


@contextlib.contextmanager
def atomic_folder(target: Path, *, overwrite: bool) -> Iterator[Path]:
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
        work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise BundleError(f"{target}: can't be written: {error.strerror}") from error
    try:
        yield work
        work.chmod(0o755)
        _put(work, target)
    except OSError as error:  # a full disk says so when the weights are written
        raise BundleError(f"{target}: can't be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def check_target(target: Path, *, overwrite: bool) -> None:
    """Refuse to replace anything but, when asked to, an older bundle.

    Raises:
        BundleError: something stands at ``target``, or it has no name of its own.
    """
    if target.name in ("", ".."):
        raise BundleError(f"{target}: expected a folder to make, with a name")
    if not os.path.lexists(target):
        return
    if target.is_dir() and not target.is_symlink():
        if not any(target.iterdir()):
            return
        if (target / MANIFEST_NAME).is_file():
            if overwrite:
                return
            raise BundleError(f"{target}: a bundle is here already; --overwrite replaces it")
    raise BundleError(f"{target}: something that is not a bundle is here; choose another output")


def _put(work: Path, target: Path) -> None:
    if not target.exists():
        work.rename(target)
        return
    # A folder can't be replaced in one step: the old one steps aside, and back if need be.
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    try:
        target.rename(aside / "bundle")
        try:
            work.rename(target)
        except OSError:
            (aside / "bundle").rename(target)
            raise
    finally:
        if target.exists():
            shutil.rmtree(aside, ignore_errors=True)
