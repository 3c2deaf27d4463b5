"""Conflicts: jobs that can't be done beside each other. Each gets its problem, the others run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tinysr import paths
from tinysr.errors import ImageError

from .job import Job

__all__ = ["settle"]


def settle(found: Sequence[Job]) -> list[Job]:
    """Return each job once, those that can't be done with the reason.

    - An output that is its own input, or another's, is refused.
    - Beside `photo.png`, an input `photo-x4.png` is the result of an earlier run: it is not
      enlarged again.
    - Of several inputs that become the same file, the first is made.

    Raises:
        ImageError: every job would write its own input.
    """
    jobs = list(
        {
            (_follow_links(job.source), _follow_links(job.target)): job for job in reversed(found)
        }.values()
    )
    jobs.reverse()
    writers = {_follow_links(job.target): job for job in reversed(jobs) if job.target is not None}
    sources = {_follow_links(job.source) for job in jobs if job.source is not None}
    if jobs and all(_is_own_input(job) for job in jobs):
        raise ImageError(f"{jobs[0].folder or jobs[0].target}: is an input; choose another output")
    jobs = [_check_job(job, writers, sources) for job in jobs]
    return _refuse_doubles(jobs)


def _check_job(job: Job, writers: dict[str | None, Job], sources: set[str | None]) -> Job:
    """Return a job with its problem if its output or its input is another's."""
    if job.problem is not None or job.target is None:
        return job
    if _is_own_input(job) or (job.folder is not None and _follow_links(job.target) in sources):
        return replace(job, problem=f"{job.target}: is an input; choose another output")
    writer = writers.get(_follow_links(job.source)) if job.source is not None else None
    if writer is not None and writer.folder is None:
        return replace(
            job,
            problem=f"{job}: is the result of {writer}, and is not enlarged again; "
            "name it alone if it is to be",
        )
    return job


def _refuse_doubles(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs; those whose output an earlier one makes get that as their problem."""
    first: dict[str | None, Job] = {}
    result = []
    for job in jobs:
        made = job
        if job.problem is None and job.target is not None:
            other = first.setdefault(_follow_links(job.target), job)
            if other is not job:
                made = replace(
                    job,
                    problem=f"{job}: would become {job.target}, as {other} does, which comes "
                    "first; rename one, or upscale it into another folder",
                )
        result.append(made)
    return result


def _is_own_input(job: Job) -> bool:
    return job.source is not None and _follow_links(job.source) == _follow_links(job.target)


def _follow_links(path: Path | None) -> str | None:
    return None if path is None else str(paths.follow_links(path))
