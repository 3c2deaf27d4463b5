"""Jobs: which image becomes which file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tinysr import paths
from tinysr.errors import ImageError, choices

from ..files import FORMATS, INPUT_SUFFIXES, OUTPUT_SUFFIXES, with_format, with_mark
from .walk import walk

__all__ = ["STANDARD", "Job", "Work", "plan_work"]

STANDARD = "-"
"""The name of standard input and output."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """One image to be made."""

    source: Path | None
    """None is standard input."""
    target: Path | None
    """None is standard output."""
    folder: Path | None = None
    """The output folder, which has the log; None where a file was named."""
    name: str
    """The source below its input folder, with forward slashes."""
    file_format: str | None = None
    """What was asked for where no suffix says it; None is the input's own."""
    problem: str | None = None
    """Why it can't be read, where that is known before."""

    def __str__(self) -> str:
        return "standard input" if self.source is None else str(self.source)


@dataclass(frozen=True, kw_only=True, slots=True)
class Work:
    """All that was asked for, in order."""

    jobs: tuple[Job, ...]
    left_out: Counter[str] = field(default_factory=Counter)
    """Suffixes of files in the input folders that are no images, and how many have each."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Where the images go: folders, files, or standard output."""
        places = (job.folder or job.target for job in self.jobs)
        names = ("standard output" if place is None else str(place) for place in places)
        return tuple(dict.fromkeys(names))


def plan_work(
    inputs: Sequence[str], output: str | None, *, file_format: str | None = None, scale: float = 4.0
) -> Work:
    """Pair every input image with its output.

    One input and an ``output`` with an image's suffix make that file. Otherwise ``output`` is a
    folder: folders among the inputs are walked in sorted order and their inner paths are kept.
    Without an ``output``, what is made of ``photos`` and ``photo.jpg`` is put beside them, as
    ``photos-x4`` and ``photo-x4.jpg``. A file keeps its format if that can be written, and becomes
    a PNG if not.

    Args:
        inputs: files and folders, or ``-`` alone; of folders, only files with an image's suffix
            are taken.
        output: a file, ``-``, or a folder, which may lie in an input folder without being read.
        file_format: one of :data:`~tinysr.runtime.files.FORMATS` for every output.
        scale: output side over input side, for the names of outputs.

    Raises:
        UnsupportedError: an unknown format.
        ImageError: an input is missing, there is nothing to do, two outputs are the same, or
            standard input or output is asked to be more than one image.
    """
    if file_format is not None and file_format not in FORMATS:
        raise choices("format", file_format, FORMATS)
    for name in inputs:
        if name != STANDARD and not paths.exists(Path(name), ImageError):
            raise ImageError(f"{name}: there is no such file or folder")
    left_out: Counter[str] = Counter()
    piped = STANDARD in (*inputs, output)
    if piped or (output is not None and _names_file(Path(output))):
        found = [_single(inputs, output, file_format)]
    else:
        found = [*_several(inputs, output, file_format, scale, left_out)]
    _check(found, inputs)
    return Work(jobs=tuple(found), left_out=left_out)


def _several(
    inputs: Sequence[str],
    output: str | None,
    file_format: str | None,
    scale: float,
    left_out: Counter[str],
) -> Iterator[Job]:
    for name in inputs:
        path = Path(name)
        if paths.is_folder(path, ImageError):
            folder = _beside(path, scale) if output is None else Path(output)
            yield from _of_folder(path, folder, file_format, left_out)
        elif output is None:
            target = with_format(_beside(path, scale), file_format)
            yield Job(source=path, target=target, name=path.name)
        else:
            target = with_format(Path(output, path.name), file_format)
            yield Job(source=path, target=target, folder=Path(output), name=path.name)


def _names_file(output: Path) -> bool:
    return output.suffix.lower() in OUTPUT_SUFFIXES and not paths.is_folder(output, ImageError)


def _single(inputs: Sequence[str], output: str | None, file_format: str | None) -> Job:
    """Return the job of one named file, or of standard input or output."""
    if len(inputs) != 1 or paths.is_folder(Path(inputs[0]), ImageError):
        raise ImageError(
            f"{output or STANDARD}: is one image: expected one input file, or a folder as output"
        )
    source = None if inputs[0] == STANDARD else Path(inputs[0])
    name = STANDARD if source is None else source.name
    if output in (None, STANDARD):
        return Job(source=source, target=None, name=name, file_format=file_format)
    target = Path(str(output))
    if not _names_file(target):
        raise ImageError(
            f"{target}: expected a file with an image's suffix for standard input, or "
            f"'{STANDARD}' for standard output"
        )
    if file_format and OUTPUT_SUFFIXES[target.suffix.lower()] != file_format:
        raise ImageError(f"{target}: its suffix and --format {file_format} contradict each other")
    return Job(source=source, target=target, name=name)


def _of_folder(
    path: Path, folder: Path, file_format: str | None, left_out: Counter[str]
) -> Iterator[Job]:
    found = walk(path, folder)
    left_out.update(found.others)
    for source in found.images:
        inner = source.relative_to(path)
        target = with_format(folder / inner, file_format)
        yield Job(source=source, target=target, folder=folder, name=inner.as_posix())
    for source, words in found.unreadable.items():
        inner = source.relative_to(path)
        problem = f"{source}: the folder can't be listed: {words}"
        yield Job(
            source=source,
            target=folder / inner,
            folder=folder,
            name=inner.as_posix(),
            problem=problem,
        )


def _beside(path: Path, scale: float) -> Path:
    """Return `photos-x4` for `photos`, and `photo-x4.jpg` for `photo.jpg`."""
    if path.name in ("", ".."):
        path = paths.real(path)
    if not path.name:
        raise ImageError(f"{path}: expected an output for it; name one with -o")
    mark = f"-x{scale:g}"
    if paths.is_folder(path, ImageError):  # its dots are no suffix
        return path.with_name(f"{path.name}{mark}")
    return with_mark(path, mark)


def _check(found: Sequence[Job], inputs: Sequence[str]) -> None:
    """Refuse to do nothing, to write a file twice, or to write what is read."""
    if not found:
        raise ImageError(
            f"{', '.join(inputs)}: expected at least one image "
            f"({', '.join(sorted(INPUT_SUFFIXES))}), found none"
        )
    made: dict[Path, Job] = {}
    sources = {paths.real(job.source) for job in found if job.source}
    for job in found:
        if job.target is None:
            continue
        target = paths.real(job.target)
        if target in made:
            raise ImageError(
                f"{made[target]} and {job} would both become {job.target}: "
                "upscale them into different folders"
            )
        if target in sources:
            raise ImageError(f"{job.target}: is an input; choose another output")
        made[target] = job
