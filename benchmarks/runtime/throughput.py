"""A folder of photos, at the speed of inference alone: at least 90 % of it.

    python -m tinysr.benchmarks.runtime.throughput bundles/tinysr-nano

Both are measured in one run, in pairs and in alternating order, so that whatever else the machine
does falls on both. *Inference alone* is :meth:`Upscaler.infer` on the decoded photos, one after the
other. *The folder* is what `tinysr upscale` does with the same photos: read, hash, decode, infer,
fix colours, encode, write, hash, log. The share is the median over the pairs.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

import tinysr
from tinysr import paths
from tinysr.errors import ImageError
from tinysr.runtime import Upscaler
from tinysr.runtime.files import decode
from tinysr.runtime.folder import FolderSettings, Item, plan_work, run_jobs
from tinysr.runtime.raster import Pixels
from tinysr.terminal import Output, program

from ..record import write_record

__all__ = ["LIMIT", "Throughput", "main", "make_photos", "measure"]

LIMIT = 0.9
"""Least share of the speed of inference alone."""

SIZES = ((128, 128), (192, 128), (128, 160), (256, 192))
"""Width and height of the photos, in turn, in pixels."""

SUFFIXES = (".png", ".jpg", ".jpg")
"""Their formats, in turn; with four sizes each size comes in each."""

ORIGINALS = Path(tinysr.__file__).parent / "suite" / "photos"


@dataclass(frozen=True, kw_only=True, slots=True)
class Throughput:
    """The measurement of one folder."""

    photos: int
    megapixels: float
    """Size of all results, in 10⁶ pixels."""
    alone: float
    """Inference alone, in seconds for all photos; a median."""
    folder: float
    """The whole folder; likewise."""
    share: float
    """Median over the pairs of alone/folder."""
    lowest: float
    highest: float
    repeats: int
    warmup: int


def make_photos(folder: Path, count: int) -> None:
    """Write photos of several sizes and formats, cut from those of the parity suite."""
    files = paths.find_matching(ORIGINALS, "*.png", ImageError)
    originals = [Image.open(path).convert("RGB") for path in files]
    turns = zip(range(count), *map(itertools.cycle, (originals, SIZES, SUFFIXES)), strict=False)
    for number, original, size, suffix in turns:
        # A part that differs from photo to photo, at the size wanted.
        left, top = number % 7, number % 5
        part = original.crop((left, top, original.width - 7, original.height - 5))
        part.resize(size, Image.Resampling.LANCZOS).save(
            folder / f"{number:03}{suffix}", quality=90
        )


def measure(
    upscaler: Upscaler, folder: Path, *, color: str = "adain", repeats: int = 5, warmup: int = 1
) -> Throughput:
    """Measure a folder of photos.

    Args:
        upscaler: open.
        folder: with photos; results are put into temporary folders beside them.
        color: the upscaler's colour fix.
        repeats: pairs that are measured.
        warmup: pairs before them.

    Raises:
        TinySRError: a photo can't be upscaled.
    """
    files = paths.list_folder(folder, ImageError)
    photos = [decode(p.read_bytes(), str(p), max_megapixels=1e3).raster.pixels for p in files]
    pairs = [
        _pair(upscaler, photos, folder, FolderSettings(color=color), swap=bool(turn % 2))
        for turn in range(warmup + repeats)
    ][warmup:]
    sizes = [upscaler.output_size(photo.shape[1], photo.shape[0]) for photo in photos]
    shares = [alone / whole for alone, whole in pairs]
    return Throughput(
        photos=len(photos),
        megapixels=sum(width * height for width, height in sizes) / 1e6,
        alone=statistics.median(alone for alone, _ in pairs),
        folder=statistics.median(whole for _, whole in pairs),
        share=statistics.median(shares),
        lowest=min(shares),
        highest=max(shares),
        repeats=repeats,
        warmup=warmup,
    )


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure a bundle, print the result, and return 1 if the folder is too slow."""
    parser = argparse.ArgumentParser(prog="python -m tinysr.benchmarks.runtime.throughput")
    parser.add_argument("bundle")
    parser.add_argument("-b", "--backend", default="auto")
    parser.add_argument("--color", default="adain")
    parser.add_argument("--photos", type=int, default=50)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--json", type=Path, help="a file for the measurement")
    options = parser.parse_args(arguments)
    with (
        Upscaler(options.bundle, backend=options.backend, color=options.color) as upscaler,
        tempfile.TemporaryDirectory() as folder,
    ):
        make_photos(Path(folder), options.photos)
        found = measure(
            upscaler,
            Path(folder),
            color=options.color,
            repeats=options.repeats,
            warmup=options.warmup,
        )
        if options.json is not None:
            write_record(options.json, asdict(found))
        Output().write(f"{upscaler.choice}\n{_lines(found)}")
    return int(found.share < LIMIT)


class _Strict:
    """A watcher for which no image may fail."""

    def on_start(self, item: Item) -> None:
        """Say nothing."""

    def on_step(self, done: int, total: int) -> None:
        """Say nothing."""

    def on_stop(self) -> None:
        """Say nothing."""

    def on_finish(self, item: Item) -> None:
        """Raise what went wrong."""
        if item.error is not None:
            raise item.error


def _pair(
    upscaler: Upscaler,
    photos: Sequence[Pixels],
    folder: Path,
    settings: FolderSettings,
    *,
    swap: bool,
) -> tuple[float, float]:
    """Return seconds of inference alone, and of the whole folder."""
    first = _time_folder(upscaler, folder, settings) if swap else None
    alone = _time_inference(upscaler, photos)
    return alone, _time_folder(upscaler, folder, settings) if first is None else first


def _time_inference(upscaler: Upscaler, photos: Sequence[Pixels]) -> float:
    start = time.perf_counter()
    for photo in photos:
        upscaler.infer(photo)
    return time.perf_counter() - start


def _time_folder(upscaler: Upscaler, folder: Path, settings: FolderSettings) -> float:
    with tempfile.TemporaryDirectory() as output:
        start = time.perf_counter()
        run_jobs(upscaler, plan_work([str(folder)], output).jobs, settings, _Strict())
        return time.perf_counter() - start


def _lines(found: Throughput) -> str:
    def speed(seconds: float) -> str:
        return f"{seconds:.2f} s, {found.megapixels / seconds:.3f} megapixels per second"

    return "\n".join(
        [
            f"{found.photos} photos, {found.megapixels:.1f} megapixels when made; medians of "
            f"{found.repeats} pairs after {found.warmup} of warm-up",
            f"inference alone: {speed(found.alone)}",
            f"whole folder:    {speed(found.folder)}",
            f"share: {found.share:.1%} ({found.lowest:.1%} to {found.highest:.1%}), "
            f"at least {LIMIT:.0%}",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
