"""Outputs: whether the name behind -o is a file's or a folder's."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from tinysr import paths
from tinysr.errors import ImageError, UnsupportedError

from ..files import IMAGE_SUFFIXES, OUTPUT_SUFFIXES

__all__ = ["STANDARD", "copy_to_standard_output", "names_file"]

STANDARD = "-"
"""The name of standard input and output."""

_SEPARATORS = tuple(filter(None, (os.sep, os.altsep)))


def names_file(output: str, inputs: Sequence[str]) -> bool:
    """Tell whether an output is a file.

    A folder that is there, and a name with a / at its end, are folders. Otherwise a suffix of an
    image that can be written makes it a file. For one image any suffix does, because a folder's
    name seldom has one: so `a.bmp` and a slip such as `a.pgn` are refused, and no folder of that
    name is made. Several images go into `results.v2`, but not into `all.gif`.

    Raises:
        UnsupportedError: it is a file of a kind that can't be written.
        ImageError: the system does not say whether it is a folder.
    """
    suffix = Path(output).suffix.lower()
    if output.endswith(_SEPARATORS) or paths.is_folder(Path(output), ImageError):
        return False
    if suffix in OUTPUT_SUFFIXES:
        return True
    if suffix in IMAGE_SUFFIXES or (suffix and _is_one_image(inputs)):
        raise UnsupportedError(
            f"{output}: {suffix} can't be written: name a file that ends in "
            f"{', '.join(OUTPUT_SUFFIXES)}, or a folder as {output}{os.sep}"
        )
    return False


def _is_one_image(inputs: Sequence[str]) -> bool:
    return len(inputs) == 1 and not paths.is_folder(Path(inputs[0]), ImageError)


def copy_to_standard_output(file: IO[bytes]) -> None:
    """Copy a file.

    Raises:
        ImageError: it can't be written, as where a disk is full.
        BrokenPipeError: nobody reads it any more.
    """
    try:
        shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ImageError(f"standard output: can't be written: {error.strerror}") from error
