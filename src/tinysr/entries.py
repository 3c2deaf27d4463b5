"""A file of a bundle, as its manifest names it: a path that can't leave the bundle, and a hash."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, Field

from tinysr.records import StrictRecord

__all__ = ["FileEntry", "RelativePath", "Sha256"]


def _check_inside(path: str) -> str:
    """Refuse a path that is not plainly relative: it could leave the bundle."""
    parts = PurePosixPath(path).parts
    unsafe = not parts or path.startswith("/") or ".." in parts or "\\" in path or ":" in path
    if unsafe or "\0" in path:
        raise ValueError(f"the path {path!r} leaves the bundle")
    return path


RelativePath = Annotated[str, AfterValidator(_check_inside)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileEntry(StrictRecord):
    """A file of the bundle."""

    path: RelativePath
    """Relative to the bundle's folder, with forward slashes."""
    sha256: Sha256
    size: int = Field(ge=0)
    """Bytes."""
