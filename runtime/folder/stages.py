"""The three stages of one image: read, infer, write."""

from __future__ import annotations

import errno
import hashlib
import io
import math
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from tinysr import paths
from tinysr.errors import ImageError
from tinysr.hashing import file_sha256

from ..background import has_transparency, put_on_background
from ..files import (
    FORMATS,
    Header,
    check_holds,
    check_size,
    check_writable,
    decode,
    describe_dropped,
    encode_into,
    format_of,
    save,
)
from ..raster import Raster
from ..render import CountProgress
from ..result import Result
from ..upscaler import Upscaler
from .item import Item, locate_below
from .job import Job
from .log import Log, MadeFile
from .output import STANDARD, copy_to_standard_output
from .settings import FolderSettings
from .source import read_source

__all__ = ["LARGE", "Stages"]

_FULL = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
"""Numbers of the errors of a disk, or of a share of one, that takes no more."""

LARGE = 16.0
"""Megapixels that the network makes of an image, from which on it is said how long it takes."""


class Stages:
    """Reading, inference and writing; each is called from one thread, in order."""

    def __init__(self, upscaler: Upscaler, settings: FolderSettings, jobs: Iterable[Job]) -> None:
        """Read the logs of the output folders.

        Raises:
            ImageError: a log can't be read.
        """
        self._upscaler, self._settings = upscaler, settings
        self._full = ""
        """Reason of a disk that takes no more; empty while there is room."""
        folders = dict.fromkeys(job.folder for job in jobs if job.folder is not None)
        self._logs = {folder: Log(folder) for folder in folders}

    def read(self, item: Item) -> None:
        """Read and decode an image, unless what would be made of it is there.

        Raises:
            TinySRError: it can't be read or used, or the target exists and is kept.
        """
        job, settings = item.job, self._settings
        if job.problem is not None:
            raise ImageError(job.problem)
        self._check_room(item)
        made = self._find_made(job)
        if job.target is not None:
            item.file_format = format_of(job.target)
            known = settings.with_page(job.page)
            item.settings = known.sha256(self._upscaler, item.file_format)
            # What the log knows is judged once the source was read.
            check_writable(job.target, overwrite=settings.overwrite or made is not None)
        data = read_source(job)
        item.source_sha256 = hashlib.sha256(data).hexdigest()
        if made is not None and job.target is not None and paths.exists(job.target, ImageError):
            item.skipped = self._is_current(made, item, job.target)
        if not item.skipped:
            self._decode(data, item)

    def expect(self, item: Item, raster: Raster) -> None:
        """Measure how long a large image will take, before it does."""
        if item.burden <= LARGE:
            return
        channels = 4 if has_transparency(raster.pixels) else 3
        network = self._upscaler.estimate_seconds(*raster.size, channels=channels)
        item.expected_seconds = network + item.megapixels * self._estimate_finishing(item, raster)

    def _estimate_finishing(self, item: Item, raster: Raster) -> float:
        """Return the seconds that colour and encoding take for 10⁶ pixels, by one tile's."""
        height, width = raster.pixels.shape[:2]
        side = self._upscaler.tile
        top, left = (max(0, (length - side) // 2) for length in (height, width))
        tile = raster.pixels[top : top + side, left : left + side]
        result = self._upscaler.infer(tile)
        start = time.perf_counter()
        pixels = result.pixels()
        encode_into(Raster(pixels=pixels), item.file_format, io.BytesIO(), str(item.job))
        seconds = time.perf_counter() - start
        return seconds * 1e6 / float(pixels.shape[0] * pixels.shape[1])

    def infer(self, item: Item, raster: Raster, progress: CountProgress | None = None) -> None:
        """Run the network.

        Raises:
            TinySRError: it fails on this image.
        """
        self._check_room(item)
        item.raster, item.metadata = None, raster.metadata
        item.result = self._upscaler.infer(
            raster.pixels, progress, alpha_is_data=self._settings.alpha_is_data
        )
        item.notes += item.result.divided

    def write(self, item: Item, result: Result) -> None:
        """Finish the result and write it, whole or not at all.

        Raises:
            TinySRError: it can't be written.
            BrokenPipeError: nobody reads standard output any more.
        """
        item.result = None
        raster = Raster(pixels=result.pixels(), metadata=item.metadata)
        target = item.job.target
        if target is not None:
            begun = time.perf_counter()

            def announce(whole: Path) -> None:
                """Log the file before it is in its place: a kill between the two loses nothing."""
                item.target_bytes = paths.size(whole, ImageError)
                item.target_sha256 = file_sha256(whole)
                item.announced_seconds = item.seconds + time.perf_counter() - begun
                self._append(item)

            try:
                save(raster, target, overwrite=self._settings.overwrite, on_whole=announce)
            except ImageError as error:
                if isinstance(cause := error.__cause__, OSError) and cause.errno in _FULL:
                    self._full = paths.reason(cause)
                raise
            return
        with tempfile.TemporaryFile() as file:  # encoders go back and forth, a pipe does not
            encode_into(raster, item.file_format, file, STANDARD)
            item.target_bytes = file.seek(0, io.SEEK_END)
            file.seek(0)
            item.target_sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            copy_to_standard_output(file)

    def log(self, item: Item) -> None:
        """Add a line to the log of the output folder; what was done before has one."""
        if item.announced_seconds is not None and item.error is None:
            item.error = item.unlogged
        elif not item.skipped:
            self._append(item)
            item.error = item.error or item.unlogged

    def _append(self, item: Item) -> None:
        """Add a line about an image, where its folder has a log."""
        folder = item.job.folder
        if folder is None:
            return
        log = self._logs[folder]
        try:
            log.append(item.record())
        except OSError as error:
            words = f"{log.path}: can't be written: {error.strerror}"
            item.unlogged = ImageError(f"{words}; {item.job.target} was made")

    def _check_room(self, item: Item) -> None:
        """Refuse an image after a disk was found full: it would be computed in vain."""
        if self._full and item.job.target is not None:
            raise ImageError(f"{item.job}: not made: {self._full}, as an image before it found")

    def _find_made(self, job: Job) -> MadeFile | None:
        return (
            self._logs[job.folder].find_made(locate_below(job)) if job.folder is not None else None
        )

    def _is_current(self, made: MadeFile, item: Item, target: Path) -> bool:
        """Tell whether the target is what would be made.

        Raises:
            ImageError: it is something else, and is kept.
        """
        try:
            why = made.explain_stale(item.source_sha256, item.settings, target)
        except OSError as error:
            raise ImageError(f"{target}: can't be read: {error.strerror}") from error
        if why is not None and not self._settings.overwrite:
            raise ImageError(f"{target}: exists and is kept, but {why}; --overwrite replaces it")
        if why is None:
            item.target_sha256, item.target_bytes = made.target_sha256, made.target_bytes
        # With --overwrite too: what would be made is there.
        return why is None

    def _decode(self, data: bytes, item: Item) -> None:
        def accept(header: Header) -> None:
            """Refuse by its header an image that is too large to be made, or to be written."""
            if item.job.target is None:
                own = header.format if header.format in FORMATS else FORMATS[0]
                item.file_format = item.job.file_format or own
            self._upscaler.check_size(
                header.width,
                header.height,
                channels=header.channels,
                value_bytes=header.value_bytes,
            )
            after = self._upscaler.output_size(header.width, header.height)
            check_size(item.file_format, *after)

        settings = self._settings
        decoded = decode(
            data,
            str(item.job),
            max_megapixels=math.inf,
            accept=accept,
            page=item.job.page or settings.page,
            take_damaged=settings.take_damaged,
        )
        raster = decoded.raster
        if self._settings.background is not None:
            raster = put_on_background(raster, self._settings.background)
        try:
            check_holds(item.file_format, raster)
        except ImageError as error:
            raise ImageError(f"{item.job}: {error}") from error
        dropped = describe_dropped(item.file_format, raster.metadata)
        item.before, item.notes = raster.size, (*decoded.notes, *dropped)
        item.raster, item.after = raster, self._upscaler.output_size(*item.before)
        item.burden = self._upscaler.burden(*item.before)
