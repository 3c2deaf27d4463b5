"""Every error a user may meet, and the exit code it ends the program with.

    TinySRError                 2   bad input or usage
    ├── ImageError              2   an image that can't be read, used or written
    ├── CheckpointError         2   a checkpoint that can't be used
    ├── BundleError             2   a bundle that is damaged, hostile or unfit
    ├── CalibrationError        2   ranges or a precision plan that can't be used
    ├── UnsupportedError        2   an unknown or unsupported option
    ├── OutOfMemoryError        2   more memory is needed than can be had
    ├── GateError               1   an artifact that fails its numeric gate
    └── MissingBackendError     3   a backend or extra this machine lacks

A message is one line: what was expected, what was found, and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import ModuleType
from typing import ClassVar

from .quiet import load

__all__ = [
    "BundleError",
    "CalibrationError",
    "CheckpointError",
    "GateError",
    "ImageError",
    "MissingBackendError",
    "OutOfMemoryError",
    "TinySRError",
    "UnsupportedError",
    "choice_error",
    "require",
]


class TinySRError(Exception):
    """Base of all errors that are the input's or the machine's doing, not a bug."""

    exit_code: ClassVar[int] = 2


class ImageError(TinySRError):
    """An image can't be read, used or written."""


class CheckpointError(TinySRError):
    """A checkpoint is missing, damaged, hostile or of an unknown layout."""


class BundleError(TinySRError):
    """A bundle is damaged, hostile or does not hold what was asked for."""


class CalibrationError(TinySRError):
    """Measured ranges or a precision plan are damaged, or those of another model."""


class UnsupportedError(TinySRError):
    """An option, target, precision, backend or shape that is not offered."""


class OutOfMemoryError(TinySRError, MemoryError):
    """A library could not get the memory that it asked for."""


class GateError(TinySRError):
    """An artifact's numbers are worse than its gate allows."""

    exit_code: ClassVar[int] = 1


class MissingBackendError(TinySRError):
    """This machine lacks a package, a driver or a device."""

    exit_code: ClassVar[int] = 3


def choice_error(kind: str, found: str, known: Iterable[str]) -> UnsupportedError:
    """Return the error for a ``found`` name that is none of the ``known`` ones of its ``kind``."""
    return UnsupportedError(f"unknown {kind} '{found}': expected one of {', '.join(sorted(known))}")


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional package, quietly: see :mod:`tinysr.quiet`.

    Raises:
        MissingBackendError: it is not installed; the message names the extra that brings it.
    """
    try:
        return load(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.split(".", maxsplit=1)[0] != error.name.split(".")[0]:
            raise
        raise MissingBackendError(
            f"the package '{module}' is not installed: pip install 'tinysr[{extra}]'"
        ) from error
