"""The folder in which results are kept that only save time, of this user alone."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path

import platformdirs

__all__ = ["cache_folder"]

_LOG = logging.getLogger("tinysr")


def cache_folder(*inner: str) -> Path | None:
    """Return a folder of the user's cache, which may not be there yet.

    It is where the system keeps caches: ``$XDG_CACHE_HOME/tinysr`` or ``~/.cache/tinysr`` on Linux.
    Without a home folder there is none, nothing is kept, and a warning says so once.

    Args:
        inner: names of folders below.
    """
    try:
        root = platformdirs.user_cache_path("tinysr")
    except Exception:  # it asks the system for a home in many ways, each with errors of its own
        root = Path()
    if not root.is_absolute():  # "~/.cache" as it is, where nothing says what ~ is
        _warn()
        return None
    return root.joinpath(*inner)


@cache
def _warn() -> None:
    _LOG.warning(
        "no home folder is known, so nothing is cached, and work is done again each time: "
        "set HOME, or XDG_CACHE_HOME to a folder"
    )
