"""Reading, inference and writing at the same time, each in its thread, image after image.

    reader thread ──channel──► calling thread ──channel──► writer thread
    read, hash, decode         the network                 colour, encode, write, log

Memory is bounded: one image is in each stage and at most one waits before the next. An image whose
result would bring what is under way over :data:`IN_FLIGHT` waits, decoded, until there is room, so
large images go through one at a time.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import ParamSpec, Protocol

from tinysr.abandoned import remove_abandoned
from tinysr.atomic import remove_unfinished
from tinysr.errors import ImageError, OutOfMemoryError, TinySRError

from ..raster import Metadata
from ..upscaler import Upscaler
from .flow import Channel, Closed, MegapixelBudget
from .item import Item
from .job import Job
from .settings import FolderSettings
from .stages import Stages

__all__ = ["IN_FLIGHT", "FolderWatcher", "run_jobs"]

IN_FLIGHT = 16.0
"""Megapixels between the start of inference and the end of writing, in 10⁶ pixels: of results, or
of what they are resampled from."""

_Words = ParamSpec("_Words")

_PATIENCE = 0.5
"""Seconds in which a thread that was told to drop an image gets to where it looks."""


class FolderWatcher(Protocol):
    """Is told how far a run is.

    What it raises costs no image: the others are made, then the first error is raised. With a
    TinySRError from ``on_start`` or ``on_finish``, or where nobody reads a pipe any more, it ends
    the run at once.
    """

    def on_start(self, item: Item) -> None:
        """Inference begins; called in the thread that runs the jobs."""

    def on_step(self, done: int, total: int) -> None:
        """So many steps of this image's inference are done; in the same thread."""

    def on_finish(self, item: Item) -> None:
        """An image was made, skipped or failed; in the order of the jobs, in another thread."""

    def on_stop(self) -> None:
        """It was interrupted, and waits for what is being written."""


def run_jobs(
    upscaler: Upscaler, jobs: Sequence[Job], settings: FolderSettings, watcher: FolderWatcher
) -> None:
    """Make all images; an image that fails is reported, and the others are made.

    When it is interrupted, images that left the network are still written; interrupted again, it
    drops them. Neither leaves a file that is not whole.

    Raises:
        ImageError: a log can't be read.
        BrokenPipeError: nobody reads standard output any more.
        Exception: the first that the watcher raised.
    """
    _Run(upscaler, jobs, settings, watcher).run()


class _Run:
    """Three threads, and what flows between them."""

    def __init__(
        self,
        upscaler: Upscaler,
        jobs: Sequence[Job],
        settings: FolderSettings,
        watcher: FolderWatcher,
    ) -> None:
        self._jobs, self._watcher = jobs, watcher
        self._stages = Stages(upscaler, settings, jobs)
        self._read: Channel[Item] = Channel()
        self._inferred: Channel[Item] = Channel()
        self._budget = MegapixelBudget(IN_FLIGHT)
        self._failures: list[BaseException] = []
        self._unheard: list[Exception] = []
        """Error that the watcher raised, as where a disk with the output is full."""
        self._writing: Item | None = None
        self._dropped = threading.Event()

    def run(self) -> None:
        for folder in {job.target.parent for job in self._jobs if job.target is not None}:
            remove_abandoned(folder)
        # Daemons: neither a slow disk nor a silent standard input keeps the program from ending.
        reader = threading.Thread(target=self._thread, args=(self._reader,), daemon=True)
        writer = threading.Thread(target=self._thread, args=(self._writer,), daemon=True)
        reader.start()
        writer.start()
        try:
            self._infer()
        except KeyboardInterrupt:
            self._wait_for(writer, self._watcher.on_stop)
            raise
        except BaseException:
            self._wait_for(writer)
            raise
        self._wait_for(writer)
        for failure in (*self._failures, *self._unheard):
            raise failure

    def _wait_for(self, writer: threading.Thread, say: Callable[[], None] | None = None) -> None:
        """Let images that left the network be written; drop them if interrupted meanwhile."""
        try:
            if say is not None:
                self._tell(say)
            self._end_channels()
            writer.join()
        except KeyboardInterrupt:
            self._end_channels()
            self._drop(writer)
            raise

    def _end_channels(self) -> None:
        self._read.end()
        self._budget.end()
        self._inferred.end()

    def _reader(self) -> None:
        for job in self._jobs:
            item = Item(job=job)
            with _blame(item):
                self._stages.read(item)
            self._budget.take(item.burden)
            self._read.put(item)
        self._read.end()

    def _infer(self) -> None:
        with contextlib.suppress(Closed):
            while True:
                item = self._read.get()
                if (raster := item.raster) is not None:
                    with _blame(item):
                        self._stages.expect(item, raster)
                    if item.error is None:
                        self._tell(self._watcher.on_start, item)
                        with _blame(item):
                            self._stages.infer(item, raster, self._report_step)
                self._inferred.put(item)

    def _writer(self) -> None:
        while True:
            item = self._writing = self._inferred.get()
            if self._dropped.is_set():
                raise Closed
            if (result := item.result) is not None:
                with _blame(item):
                    self._stages.write(item, result)
            self._stages.log(item)
            item.metadata = Metadata()  # a watcher may keep items, thousands of them
            self._budget.give(item.burden)
            self._tell(self._watcher.on_finish, item)

    def _report_step(self, done: int, total: int) -> None:
        self._tell(self._watcher.on_step, done, total)

    def _tell(
        self, call: Callable[_Words, None], *words: _Words.args, **more: _Words.kwargs
    ) -> None:
        """Tell the watcher something."""
        try:
            call(*words, **more)
        except (TinySRError, BrokenPipeError):
            raise
        except Exception as error:  # whatever a report runs into, images are made
            self._unheard.append(error)

    def _thread(self, work: Callable[[], None]) -> None:
        """Run a thread's work; what fails apart from any image ends all."""
        try:
            work()
        except Closed:
            pass
        except BaseException as error:
            self._failures.append(error)
            self._end_channels()

    def _drop(self, writer: threading.Thread) -> None:
        """Remove what is half written; the thread that writes it ends with the program."""
        self._dropped.set()
        writer.join(_PATIENCE)
        target = self._writing.job.target if self._writing is not None else None
        if target is not None and writer.is_alive():
            remove_unfinished(target.parent)


@contextlib.contextmanager
def _blame(item: Item) -> Iterator[None]:
    """Count the time of a stage; what goes wrong in it belongs to the image."""
    start = time.perf_counter()
    try:
        yield
    except TinySRError as error:
        item.error = error
    except BrokenPipeError:  # of standard output: it is nobody's image
        raise
    except MemoryError:
        item.error = OutOfMemoryError(
            f"{item.job}: out of memory; a smaller --memory may help, or a machine with more"
        )
    except Exception as error:  # one image in a thousand must not end the run
        item.error = ImageError(f"{item.job}: {type(error).__name__}: {error}; please report this")
    finally:
        item.seconds += time.perf_counter() - start
        if item.error is not None:
            item.raster = item.result = None
