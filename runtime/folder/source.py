"""Sources: the bytes of an image, from a file or from standard input."""

from __future__ import annotations

import sys
from io import FileIO

from tinysr import paths
from tinysr.errors import ImageError

from .job import Job

__all__ = ["read_source"]

_MAX_BYTES = 2 * 2**30
"""Largest image file; it is read whole."""

_CHUNK = 2**24


def read_source(job: Job) -> bytes:
    """Return the bytes of a job's source.

    Raises:
        ImageError: it can't be read, or is too large to be.
    """
    piped = job.source is None
    try:
        # Without Python's buffer, whose lock would be held when Ctrl-C ends the program.
        with FileIO(
            sys.stdin.fileno() if job.source is None else job.source, closefd=not piped
        ) as f:
            data = _bytes(f)
    except (OSError, ValueError) as error:
        raise ImageError(f"{job}: can't be read: {paths.reason(error)}") from error
    if len(data) > _MAX_BYTES:
        raise ImageError(f"{job}: expected an image file of at most 2 GiB, found a larger one")
    if piped and not data:
        raise ImageError("standard input: expected an image, found nothing")
    return data


def _bytes(file: FileIO) -> bytes:
    """Return all bytes, or a few more than are allowed."""
    parts, size = [], 0
    while size <= _MAX_BYTES and (part := file.read(_CHUNK)):
        parts.append(part)
        size += len(part)
    return b"".join(parts)
