"""Many files: which image becomes which file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tinysr.errors import ImageError, choices

from .images import INPUT_SUFFIXES, OUTPUT_SUFFIXES

__all__ = ["FORMATS", "Job", "jobs"]

FORMATS = ("png", "jpg", "webp")
"""Names of the formats that can be asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One image to be made."""

    source: Path
    target: Path


def jobs(inputs: Sequence[Path], output: Path, file_format: str | None = None) -> tuple[Job, ...]:
    """Pair every input image with its output file.

    One file and an ``output`` with an image suffix make that file. Otherwise ``output`` is a
    folder: folders among the inputs are walked in sorted order and their inner paths are kept. A
    file keeps its format if that can be written, and becomes a PNG if not.

    Args:
        inputs: files and folders; of folders, only files with an image's suffix are taken.
        output: a file or a folder, which may lie in an input folder without being read.
        file_format: png, jpg or webp for every output.

    Raises:
        UnsupportedError: an unknown format.
        ImageError: an input is missing, there is nothing to do, or two outputs are the same.
    """
    if file_format is not None and file_format not in FORMATS:
        raise choices("format", file_format, FORMATS)
    for path in inputs:
        if not path.exists():
            raise ImageError(f"{path}: there is no such file or folder")
    found: tuple[Job, ...]
    if _is_file_name(output):
        found = (_single(inputs, output, file_format),)
    else:
        found = tuple(_into_folder(inputs, output, file_format))
    if not found:
        names = ", ".join(str(path) for path in inputs)
        raise ImageError(
            f"{names}: expected at least one image ({', '.join(sorted(INPUT_SUFFIXES))}), "
            "found none"
        )
    _check_distinct(found)
    return found


def _is_file_name(output: Path) -> bool:
    return output.suffix.lower() in OUTPUT_SUFFIXES and not output.is_dir()


def _single(inputs: Sequence[Path], output: Path, file_format: str | None) -> Job:
    if len(inputs) != 1 or inputs[0].is_dir():
        raise ImageError(
            f"{output}: names one file: expected one input file, or a folder as output"
        )
    wanted = f".{file_format}"
    if file_format and OUTPUT_SUFFIXES[wanted] != OUTPUT_SUFFIXES[output.suffix.lower()]:
        raise ImageError(f"{output}: its suffix and --format {file_format} contradict each other")
    return Job(source=inputs[0], target=output)


def _into_folder(inputs: Sequence[Path], output: Path, file_format: str | None) -> Iterator[Job]:
    for path in inputs:
        if path.is_dir():
            for source in _images(path, output):
                target = output / source.relative_to(path)
                yield Job(source=source, target=_suffixed(target, file_format))
        else:
            yield Job(source=path, target=_suffixed(output / path.name, file_format))


def _images(folder: Path, leave_out: Path) -> Iterator[Path]:
    """Yield a folder's images in sorted order, except those of an output folder inside it."""
    output = leave_out.resolve()
    skip = output if output != folder.resolve() else None
    found = []
    for root, _, names in os.walk(folder):
        if skip is not None and Path(root).resolve().is_relative_to(skip):
            continue
        found += [Path(root, n) for n in names if Path(n).suffix.lower() in INPUT_SUFFIXES]
    yield from sorted(found)


def _suffixed(target: Path, file_format: str | None) -> Path:
    if file_format is not None:
        return target.with_suffix(f".{file_format}")
    return target if target.suffix.lower() in OUTPUT_SUFFIXES else target.with_suffix(".png")


def _check_distinct(found: Sequence[Job]) -> None:
    made: dict[Path, Path] = {}
    sources = {job.source.resolve() for job in found}
    for job in found:
        target = job.target.resolve()
        if target in made:
            raise ImageError(
                f"{made[target]} and {job.source} would both become {job.target}: "
                "upscale them into different folders"
            )
        if target in sources:
            raise ImageError(f"{job.target}: is an input; choose another output")
        made[target] = job.source
