"""coremltools, imported when it is needed, without its chatter."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

import numpy as np

from tinysr.errors import UnsupportedError, require

__all__ = ["EXTRA", "check_numpy", "coremltools", "silence_coremltools"]

EXTRA = "coreml"

_NUMPY_LIMIT = (2, 4)
"""coremltools 9 calls int() on arrays of one element, which NumPy refuses from here on."""


def coremltools() -> Any:
    """Import coremltools.

    Raises:
        MissingBackendError: it is not installed.
        UnsupportedError: NumPy is too new for it.
    """
    check_numpy(np.__version__)
    with silence_coremltools():
        return require("coremltools", extra=EXTRA)


def check_numpy(version: str) -> None:
    """Refuse a NumPy with which conversion breaks halfway.

    Raises:
        UnsupportedError: it is too new.
    """
    if tuple(int(part) for part in version.split(".")[:2]) >= _NUMPY_LIMIT:
        limit = ".".join(map(str, _NUMPY_LIMIT))
        raise UnsupportedError(
            f"coremltools needs NumPy below {limit}, found {version}: pip install 'numpy<{limit}'"
        )


@contextmanager
def silence_coremltools() -> Iterator[None]:
    """Keep off the screen coremltools' progress bars, and its words about untested versions."""
    logger = logging.getLogger("coremltools")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
