"""Jobs: which image becomes which file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tinysr import paths
from tinysr.errors import ImageError

from ..files import OUTPUT_SUFFIXES, describe_left_out, find_format, with_format, with_mark
from .conflicts import settle
from .job import Job
from .output import STANDARD, names_file
from .pages import split_pages
from .walk import walk

__all__ = ["STANDARD", "FolderWork", "Job", "plan_work"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FolderWork:
    """All that was asked for, in order."""

    jobs: tuple[Job, ...]
    left_out: Counter[str] = field(default_factory=Counter)
    """Suffixes of files in the input folders that are not read, and how many have each."""

    @property
    def outputs(self) -> tuple[str, ...]:
        """Places of the images: folders, files, or standard output."""
        places = (job.folder or job.target for job in self.jobs)
        names = ("standard output" if place is None else str(place) for place in places)
        return tuple(dict.fromkeys(names))


def plan_work(
    inputs: Sequence[str],
    output: str | None,
    *,
    file_format: str | None = None,
    scale: float = 4.0,
    all_pages: bool = False,
) -> FolderWork:
    """Pair every input image with its output.

    Where ``output`` names a file, which :func:`~tinysr.runtime.folder.output.names_file` tells, one
    input becomes that file. Otherwise ``output`` is a folder: folders among the inputs are walked
    in sorted order and their inner paths are kept. Without an ``output``, what is made of
    ``photos`` and ``photo.jpg`` is put beside them, as ``photos-x4`` and ``photo-x4.jpg``. A file
    keeps its format if that can be written, and becomes a PNG if not. What can't be done becomes a
    job with a problem, so that all others are done.

    Args:
        inputs: files and folders, or ``-`` alone; of folders, only files with an image's suffix
            are taken, and those without one that begin like an image.
        output: a file, ``-``, or a folder, which may lie in an input folder without being read.
        file_format: a format for every output, by any of its names.
        scale: output side over input side, for the names of outputs.
        all_pages: a file of several pages or frames becomes a file of each, numbered.

    Raises:
        UnsupportedError: a format or a suffix that can't be written.
        ImageError: nothing can be done, or standard input or output is asked to be more than one
            image.
    """
    file_format = None if file_format is None else find_format(file_format)
    left_out: Counter[str] = Counter()
    piped = STANDARD in (*inputs, output)
    if piped or (output is not None and names_file(output, inputs)):
        found = [_plan_single(inputs, output, file_format)]
    else:
        found = [*_plan_several(inputs, output, file_format, scale, left_out)]
    jobs = settle([*split_pages(found)] if all_pages else found)
    if len(jobs) == 1 and jobs[0].problem is not None:
        raise ImageError(jobs[0].problem)
    return FolderWork(jobs=tuple(jobs), left_out=left_out)


def _plan_several(
    inputs: Sequence[str],
    output: str | None,
    file_format: str | None,
    scale: float,
    left_out: Counter[str],
) -> Iterator[Job]:
    for name in inputs:
        path = Path(name)
        problem = _explain_unreachable(path)
        if problem is None and paths.is_folder(path, ImageError):
            # A folder's dots are not a suffix.
            beside = _name_path(path).with_name(f"{_name_path(path).name}{_mark(scale)}")
            folder = beside if output is None else Path(output)
            yield from _plan_folder(path, folder, file_format, left_out)
        elif output is None:
            target = with_format(with_mark(_name_path(path), _mark(scale)), file_format)
            yield Job(source=path, target=target, name=path.name, problem=problem)
        else:
            folder = Path(output)
            target = with_format(folder / path.name, file_format)
            yield Job(source=path, target=target, folder=folder, name=path.name, problem=problem)


def _explain_unreachable(path: Path) -> str | None:
    """Return why an input can't be opened, as far as its folders tell."""
    try:
        there = paths.exists(path, ImageError)
    except ImageError as error:
        return str(error)
    return None if there else f"{path}: there is no such file or folder"


def _plan_single(inputs: Sequence[str], output: str | None, file_format: str | None) -> Job:
    """Return the job of one named file, or of standard input or output."""
    if len(inputs) != 1 or _is_folder(inputs[0]):
        raise ImageError(
            f"{output or STANDARD}: is one image: expected one input file, or a folder as output"
        )
    source = None if inputs[0] == STANDARD else Path(inputs[0])
    problem = None if source is None else _explain_unreachable(source)
    name = STANDARD if source is None else source.name
    if output in (None, STANDARD):
        return Job(source=source, target=None, name=name, file_format=file_format, problem=problem)
    target = Path(str(output))
    if not names_file(str(output), inputs):
        raise ImageError(
            f"{target}: expected a file with an image's suffix for standard input, or "
            f"'{STANDARD}' for standard output"
        )
    if file_format and OUTPUT_SUFFIXES[target.suffix.lower()] != file_format:
        raise ImageError(f"{target}: its suffix and --format {file_format} contradict each other")
    return Job(source=source, target=target, name=name, problem=problem)


def _plan_folder(
    path: Path, folder: Path, file_format: str | None, left_out: Counter[str]
) -> Iterator[Job]:
    found = walk(path, folder)
    left_out.update(found.others)
    if not found.images and not found.unreadable:
        others = f", among {describe_left_out(found.others)}" if found.others else ""
        problem = f"{path}: expected at least one image, found none{others}"
        yield Job(source=path, target=folder, folder=folder, name=path.name, problem=problem)
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


def _is_folder(name: str) -> bool:
    """Tell whether an input is a folder; one that can't be reached is none."""
    path = Path(name)
    return _explain_unreachable(path) is None and paths.is_folder(path, ImageError)


def _mark(scale: float) -> str:
    return f"-x{scale:g}"


def _name_path(path: Path) -> Path:
    """Return a path that ends in a name: of `.` and `..`, the folder's own."""
    if path.name in ("", ".."):
        path = paths.follow_links(path)
    if not path.name:
        raise ImageError(f"{path}: expected an output for it; name one with -o")
    return path
