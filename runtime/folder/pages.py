"""Pages: a file of several pictures becomes one job for each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from tinysr import paths
from tinysr.errors import ImageError

from ..files import START, count_pictures, image_suffix, may_have_several
from .job import Job
from .source import read_source

__all__ = ["split_pages"]


def split_pages(jobs: Iterable[Job]) -> Iterator[Job]:
    """Yield a job for each page or frame; what has a single picture stays as it is.

    The numbers in names are as long as the last, so that names sort as pages do. A file whose
    pages can't be counted stays one job, which tells why when it is read.

    Raises:
        ImageError: the pages would go through standard input or output.
    """
    for job in jobs:
        if job.source is None or job.target is None:
            place = "standard input" if job.source is None else "standard output"
            raise ImageError(
                f"{place}: is one image, and --page all makes several files: name a file with "
                "each, or take one page with --page N"
            )
        count = _count(job, job.source)
        if count < 2:
            yield job
            continue
        for page in range(1, count + 1):
            yield replace(job, page=page, target=_number_name(job.target, page, count))


def _count(job: Job, source: Path) -> int:
    if job.problem is not None:
        return 1
    try:
        if not paths.is_file(source, ImageError):
            return 1  # a pipe can be read only once
        start = paths.read_start(source, START)
        return count_pictures(read_source(job)) if may_have_several(start or b"") else 1
    except ImageError:
        return 1


def _number_name(target: Path, page: int, count: int) -> Path:
    suffix = image_suffix(target)
    number = str(page).zfill(len(str(count)))
    return target.with_name(f"{target.name.removesuffix(suffix)}-{number}{suffix}")
