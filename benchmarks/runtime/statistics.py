"""Windows with given statistics beside blended tiles: a decoder whose norms see the whole image.

    python -m tinysr.benchmarks.runtime.statistics adcsr --megapixels 4

runs the decoder of a model on features of a whole image in ONNX Runtime: whole; in windows, with
the statistics of all norms measured on the whole, or on a copy of half the size; and in tiles, each
with statistics of its own, which are blended. What is printed is against the whole.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.decibels import psnr_of_mse
from tinysr.errors import UnsupportedError
from tinysr.export.model.given_norms import Statistics, give_statistics, measure_statistics
from tinysr.models import OneStepModel, load_checkpoint
from tinysr.records import StrictRecord
from tinysr.runtime.network.tiling import blend, lay_grid
from tinysr.runtime.network.windows import Window, lay_out_squares, run_windows
from tinysr.stages import Stage, Tiles
from tinysr.terminal import Column, Output, Table, program

from ..record import RESULTS, write_record
from .given_graph import Array, Run, open_decoder

__all__ = ["KEPT", "Compared", "Way", "compare_ways", "find_reach", "main"]

KEPT = RESULTS / "statistics.json"

_DETAILS = 24
"""Places of the smooth noise that stands for features, along a side."""

_PROBE = 48
"""Cells along the side of the input that shows the reach."""


class Way(StrictRecord):
    """One way to run the decoder on the whole image's features."""

    name: str
    seconds: float
    """Time of all its runs, in seconds."""
    measuring: float = 0.0
    """Time of measuring statistics before, in seconds."""
    runs: int
    """Runs of a graph."""
    psnr_db: float | None = None
    """PSNR against the whole, peak 1; null where the two are equal bit for bit."""
    largest: float = 0.0
    """Largest absolute difference from the whole."""
    same_bits: bool = False
    """Whether it equals, bit for bit, the whole of the same statistics."""


class Compared(StrictRecord):
    """All ways on one image."""

    model: str
    megapixels: float
    """Size of the result, in 10⁶ pixels."""
    ways: tuple[Way, ...]


def find_reach(stage: nn.Module, cells: Tensor) -> int:
    """Return the cells around a place of what a stage reads that its result there depends on.

    Args:
        stage: of convolutions alone, its statistics given.
        cells: an input ``[1, C, S, S]`` large enough to show the reach.
    """
    middle = cells.shape[-1] // 2
    given = cells.clone().requires_grad_()
    with torch.enable_grad():
        result = stage(given)
        each = result.shape[-1] // cells.shape[-1]
        inside = slice(middle * each, (middle + 1) * each)
        (gradient,) = torch.autograd.grad(result[..., inside, inside].double().sum(), given)
    touched = gradient.abs().amax(dim=(0, 1)).nonzero()
    return int((touched - middle).abs().max())


def compare_ways(model: OneStepModel, features: Tensor, tile: int) -> list[Way]:
    """Run all ways on the features of one image.

    Args:
        model: its last stage is of tiles, and has no attention.
        features: ``[1, C, H, W]`` as that stage reads them.
        tile: side of the model's tiles, in pixels of the image.
    """
    stage = model.chain(tile).stages[-1]
    decoder, channels = model.get_submodule(stage.name), features.shape[1]
    of_whole, measuring = _time(lambda: measure_statistics(decoder, features))
    of_half, measuring_half = _time(
        lambda: measure_statistics(decoder, F.interpolate(features, scale_factor=0.5, mode="area"))
    )
    given = give_statistics(decoder, of_whole)
    reach = find_reach(given, torch.rand(1, channels, _PROBE, _PROBE) + 0.1)
    work = _Work(
        features.numpy(),
        stage,
        writes=model.chain(tile).cell(stage),
        plain=open_decoder(decoder, channels),
        given=open_decoder(given, channels),
    )
    return [
        work.run_whole(),
        work.run_windows("the whole", reach, of_whole, measuring),
        work.run_windows("half the size", reach, of_half, measuring_half),
        work.blend(),
    ]


class _Work:
    """An image's features, and the ways to run a decoder on them."""

    def __init__(self, x: Array, stage: Stage, *, writes: int, plain: Run, given: Run) -> None:
        if not isinstance(stage.division, Tiles):
            found = stage.division.kind
            raise UnsupportedError(f"stage {stage.name}: expected tiles, found {found}")
        self._x, self._tiles, self._writes = x, stage.division, writes
        self._plain, self._given = plain, given
        self._expected: Array = np.empty(0, np.float32)

    def run_whole(self) -> Way:
        """Run the plain graph once: what all others are held against."""
        self._expected, seconds = _time(lambda: self._plain(self._x, {}))
        return Way(name="whole", seconds=seconds, runs=1)

    def run_windows(self, name: str, reach: int, statistics: Statistics, measuring: float) -> Way:
        """Run the graph of given statistics in windows with their surroundings."""
        side = self._tiles.side + 2 * reach
        layout = lay_out_squares(*self._x.shape[2:], halo=reach, side=side)
        result = np.empty_like(self._expected)

        def put(window: Window, values: Array) -> None:
            self._put(result, window.y.first, window.x.first, values)

        def run(part: Array) -> Array:
            return self._given(part, statistics)

        _, seconds = _time(
            lambda: run_windows(self._x, layout, run, put, reads=1, writes=self._writes)
        )
        way = self._judge(f"windows, statistics of {name}", result, seconds, len(layout))
        same_bits = bool(np.array_equal(result, self._given(self._x, statistics)))
        return way.model_copy(update={"measuring": measuring, "same_bits": same_bits})

    def blend(self) -> Way:
        """Run the plain graph on tiles, and blend what they give."""
        tiles, writes = self._tiles, self._writes
        height, width = self._x.shape[2:]
        grid = lay_grid(height, width, tiles.side, tiles.overlap)
        result = np.empty_like(self._expected)

        def put(top: int, left: int, values: Array) -> None:
            self._put(result, top // writes, left // writes, values)

        def run(part: Array) -> Array:
            return self._plain(part, {})

        _, seconds = _time(lambda: blend(self._x, grid, run, put, reads=1, writes=writes))
        return self._judge("blended tiles", result, seconds, len(grid))

    def _put(self, result: Array, top: int, left: int, values: Array) -> None:
        top, left = top * self._writes, left * self._writes
        result[..., top : top + values.shape[2], left : left + values.shape[3]] = values

    def _judge(self, name: str, found: Array, seconds: float, runs: int) -> Way:
        error = found.astype(np.float64) - self._expected
        mse = float(np.square(error).mean())
        return Way(
            name=name,
            seconds=seconds,
            runs=runs,
            psnr_db=psnr_of_mse(mse) if mse else None,
            largest=float(np.abs(error).max()),
        )


def _time(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.perf_counter()
    result = work()
    return result, time.perf_counter() - start


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description="Windows with given statistics, beside tiles.")
    parser.add_argument("model", help="preset or checkpoint whose decoder has no attention")
    parser.add_argument("--megapixels", type=float, default=4.0, help="size of the result")
    parser.add_argument("--tile", type=int, default=128, help="side of tiles, pixels of the image")
    parser.add_argument("--output", type=Path, default=KEPT, help="file for the record")
    options = parser.parse_args(arguments)
    model = load_checkpoint(options.model).model
    chain = model.chain(options.tile)
    field = chain.field(chain.stages[-1].reads)
    side = round((options.megapixels * 1e6) ** 0.5 / field.pixels_per_cell)
    torch.manual_seed(0)
    coarse = torch.randn(1, field.channels, _DETAILS, _DETAILS)
    features = F.interpolate(coarse, size=(side, side), mode="bicubic")
    ways = compare_ways(model, features, options.tile)
    names = ("s", "measuring, s", "runs", "PSNR, dB", "largest difference", "same bits")
    table = Table(
        columns=[Column(name="way"), *(Column(name=name, right=True) for name in names)],
        title=f"{options.model}, {(side * field.pixels_per_cell) ** 2 / 1e6:.1f} megapixels",
    )
    for way in ways:
        exact = "equal" if way.psnr_db is None else f"{way.psnr_db:.1f}"
        table.add(
            way.name,
            f"{way.seconds:.1f}",
            f"{way.measuring:.1f}",
            str(way.runs),
            exact if way.name != "whole" else "",
            f"{way.largest:.1e}",
            "yes" if way.same_bits else "",
        )
    Output().table(table)
    found = Compared(
        model=options.model, megapixels=(side * field.pixels_per_cell) ** 2 / 1e6, ways=tuple(ways)
    )
    write_record(options.output, found.model_dump(mode="json"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
