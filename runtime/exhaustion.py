"""Running out of memory: told from other errors of a library, whatever it raises for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tinysr.errors import OutOfMemoryError

__all__ = ["MORE_ROOM", "is_exhaustion", "report_exhaustion"]

MORE_ROOM = "close other programs, or use a machine with more memory"
"""Advice where no option of ours helps."""

_WORDS = (
    "bad_alloc",
    "bad allocation",
    "out of memory",
    "not enough memory",
    "failed to allocate",
    "can't allocate",
    "cannot allocate",
    "could not allocate",
    "unable to allocate",
)
"""Words for a lack of memory in errors of ONNX Runtime, OpenVINO, PyTorch, CUDA, NumPy, libvips and
the C library."""

_ABSURD = ("to read tiff directory", "out of memory reading of")
"""Words of libtiff's where it could not allocate the absurd number of entries, or of values of one
entry, that a damaged header tells of: more than the file has bytes."""


def is_exhaustion(error: BaseException | None) -> bool:
    """Tell whether an error, or one that it was raised from, is a lack of memory."""
    while error is not None:
        words = str(error).lower()
        if any(phrase in words for phrase in _ABSURD):
            return False
        if isinstance(error, MemoryError) or any(phrase in words for phrase in _WORDS):
            return True
        error = error.__cause__
    return False


@contextmanager
def report_exhaustion(what: str, remedy: str) -> Iterator[None]:
    """Raise one error for every library's lack of memory; all other errors pass.

    Args:
        what: what was being done, or with which file.
        remedy: what to do.

    Raises:
        OutOfMemoryError: there was not enough memory.
    """
    try:
        yield
    except Exception as error:
        if not is_exhaustion(error):
            raise
        raise OutOfMemoryError(f"{what}: out of memory; {remedy}") from error
