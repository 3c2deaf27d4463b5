"""Sources: the bytes of an image, from a file or from standard input."""

from __future__ import annotations

import io
import os
import stat
import sys
from io import FileIO

from tinysr import paths
from tinysr.errors import ImageError

from ..files import begins_as_image
from .job import Job

__all__ = ["read_source"]

_MAX_BYTES = 2 * 2**30
"""Largest image file; it is read whole."""

_CHUNK = 2**24

_START = 2**12
"""Bytes by which it is known whether a file is an image."""


def read_source(job: Job) -> bytes:
    """Return the bytes of a job's source, or only its beginning where that is no image's.

    Raises:
        ImageError: it can't be read, or is too large to be.
    """
    piped = job.source is None
    try:
        # Without Python's buffer, whose lock would be held when Ctrl-C ends the program.
        with FileIO(
            sys.stdin.fileno() if job.source is None else job.source, closefd=not piped
        ) as f:
            data = _read(f, str(job))
    except (OSError, ValueError) as error:
        raise ImageError(f"{job}: can't be read: {paths.reason(error)}") from error
    if piped and not data:
        raise ImageError("standard input: expected an image, found nothing")
    return data


def _read(file: FileIO, name: str) -> bytes:
    """Return all bytes: at once where the file says how many, else until there is an end."""
    status = os.fstat(file.fileno())
    if stat.S_ISREG(status.st_mode) and status.st_size > _MAX_BYTES:
        raise _explain_size(name)
    start = _read_start(file)
    if not begins_as_image(start):
        return start
    # It grows in place and is handed on without a copy.
    data = io.BytesIO()
    data.write(start)
    while part := file.read(_CHUNK):
        data.write(part)
        if data.tell() > _MAX_BYTES:
            raise _explain_size(name)
    return data.getvalue()


def _read_start(file: FileIO) -> bytes:
    """Return the first bytes; a pipe may give them one by one."""
    start = b""
    while len(start) < _START and (part := file.read(_START - len(start))):
        start += part
    return start


def _explain_size(name: str) -> ImageError:
    return ImageError(f"{name}: expected an image file of at most 2 GiB, found a larger one")
