"""Versions of the installed packages."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from importlib import metadata

__all__ = ["find_versions"]


def find_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed, in their order."""
    found = {}
    for package in packages:
        with suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found
