"""Standard output and error: ready for any text, and what happens when they can't be written."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from typing import TextIO

from .encoding import ERRORS

__all__ = ["is_of_output", "prepare", "settle"]

_NUMBERS = {"stdout": 1, "stderr": 2}

_OUTPUT = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF, errno.EPIPE)
"""Errors of an output that is open: a full disk, a device that went away."""


def prepare() -> None:
    """Let both take any text. One that was closed before the program began takes it nowhere."""
    for name, number in _NUMBERS.items():
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, _sink(number))
        elif isinstance(stream, io.TextIOWrapper) and stream.errors != ERRORS:
            stream.reconfigure(errors=ERRORS)


def settle() -> OSError | None:
    """Write what is buffered; return why that fails, once, and drop it then.

    Python would try again when it ends, and complain.
    """
    problem = None
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except OSError as error:
            problem = problem or error
            _drop(stream)
    return problem


def is_of_output(error: OSError) -> bool:
    """Say whether an error is of an output that is open, and not of a file that was named."""
    return error.filename is None and error.errno in _OUTPUT


def _sink(number: int) -> TextIO:
    """Return a file that takes everything, and keep the stream's number from other files."""
    try:
        os.fstat(number)
    except OSError:
        handle = os.open(os.devnull, os.O_RDWR)
        if handle != number:
            os.dup2(handle, number)
            os.close(handle)
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123  for the program's life


def _drop(stream: TextIO) -> None:
    with contextlib.suppress(OSError, ValueError):
        handle = os.open(os.devnull, os.O_WRONLY)
        os.dup2(handle, stream.fileno())
        os.close(handle)
        stream.flush()
