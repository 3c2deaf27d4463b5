"""The network: a chain's open graphs, run one after the other over an image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from tinysr.errors import BundleError, UnsupportedError
from tinysr.manifest import Manifest
from tinysr.stages import Stage, StageName, Windows

from ..geometry import Planes
from ..session import Array, Session
from ..store import Store
from .divide import divide
from .fit import check_fit, find_limits, find_surroundings
from .pace import Pace, measure_seconds
from .tiling import Grid, Put, blend
from .windows import Window, run_windows
from .work import ImageWork, StageWork

__all__ = ["MEMORY_MB", "Network"]

MEMORY_MB = 1200.0
"""Memory for one image beside the model, the process and the result, in 10⁶ bytes, unless more is
asked for or the machine has less; see :func:`~tinysr.runtime.admission.default_memory_mb`."""

_DEFAULT_BATCH = 4
"""Tiles of one call, where a graph takes any number."""

_FLOAT = 4
"""Bytes of a value between stages."""


class Network:
    """The stages of a bundle, and how an image is divided among their runs."""

    def __init__(
        self,
        manifest: Manifest,
        sessions: Mapping[StageName, Session],
        *,
        memory_mb: float = MEMORY_MB,
        window: int | None = None,
        whole: bool = True,
    ) -> None:
        """Check that the stages fit each other.

        Args:
            manifest: of the bundle.
            sessions: by stage; looked up at each run.
            memory_mb: for one image, in 10⁶ bytes; the windows are as large as that allows.
            window: side of the windows of stages that run on windows, in pixels of the image;
                None takes the largest that the memory allows. Graphs of fixed sizes take theirs.
            whole: whether stages of tiles may take an image whole, where they can and the memory
                allows.

        Raises:
            BundleError: the manifest contradicts itself.
            UnsupportedError: the window is not larger than what surrounds it.
        """
        check_fit(manifest, sessions)
        self._chain, self._sessions = manifest.chain, sessions
        self._tile = manifest.tile
        self._memory = memory_mb * 1e6
        self._check_window(window)
        self._limits = {
            stage.name: find_limits(self._chain, stage, sessions[stage.name], window, whole=whole)
            for stage in self._chain.stages
        }
        # Last, for it holds something: the network closes it.
        first, *later = self._chain.names
        self._joined = sessions[first].join({name: sessions[name] for name in later})

    @property
    def least(self) -> int:
        """Pixels along the sides of the smallest image that all graphs take."""
        fixed = (
            self._chain.pixels(stage, min(sides))
            for stage in self._chain.stages
            if (sides := self._limits[stage.name].sides)
        )
        return max((self._chain.least, *fixed))

    def close(self) -> None:
        """Free what joins the sessions; they are closed by their owner, afterwards."""
        joined, self._joined = self._joined, None
        if joined is not None:
            joined.close()

    def divide(self, width: int, height: int, held: int) -> ImageWork:
        """Divide an image among runs.

        Args:
            width: in pixels, a multiple of the chain's and at least a tile.
            height: likewise.
            held: bytes that are in memory beside the fields and what the runs themselves need,
                less those of the result.
        """
        room = int(self._memory - held - self.field_bytes(width, height))
        parts = (
            divide(self._chain, stage, width, height, limits=self._limits[stage.name], room=room)
            for stage in self._chain.stages
        )
        return ImageWork(parts=tuple(parts))

    def run(
        self,
        image: Planes,
        work: ImageWork,
        store: Store,
        done: Callable[[int], Any] = lambda _: None,
    ) -> None:
        """Map an image ``[3, H, W]`` to the result, whose sides are the scale times as long.

        Args:
            image: about [0, 1].
            work: for this size of image.
            store: is filled with the result, or with the mean of its channels if it has one.
            done: told the number of steps after each run of a stage.

        Raises:
            BundleError: the result is not finite.
        """
        if self._joined is not None and work.undivided and image.shape[1:] == (self._tile,) * 2:
            self._put(store, 0, 0, self._joined.run(np.ascontiguousarray(image[None])))
            done(work.steps)
            return
        array: Array = image[None]
        *inner, last = work.parts
        for part in inner:
            array = self._run_inner(array, part, done)
        self._run_part(array, last, lambda *given: self._put(store, *given), done)

    def pace(self) -> Pace:
        """Measure how fast the stages are now, on one tile."""
        seconds: dict[str, float] = {}
        for stage in self._chain.stages:
            pixels = self._chain.pixels(stage, 1)
            side = min(self._limits[stage.name].sides, default=self._tile // pixels)
            field = self._chain.field(stage.reads)
            length = side * self._chain.cell(stage) // field.pixels_per_cell
            batch = self._batch(stage)
            array = np.full((batch, field.channels, length, length), 0.5, np.float32)
            _, taken = measure_seconds(lambda x, s=stage: self._run(s, x), array)  # type: ignore[misc]
            seconds[stage.name] = taken / (batch * side**2)
        return Pace(cell=seconds)

    def field_bytes(self, width: int, height: int) -> int:
        """Return the bytes that fields between the stages take at most, for an image's sides."""
        made = width * height * self._chain.scale**2
        inner = [
            made // field.pixels_per_cell**2 * field.channels * _FLOAT
            for field in self._chain.fields[1:-1]
        ]
        pairs = [sum(pair) for pair in pairwise(inner)]
        return max(inner + pairs, default=0)

    def _run_inner(self, array: Array, part: StageWork, done: Callable[[int], Any]) -> Array:
        """Return a field ``[1, C, H, W]`` from the one before it."""
        if len(part) == 1:
            result = self._run(part.stage, array)
            done(1)
            return result
        field, cell = self._chain.field(part.stage.gives), self._chain.cell(part.stage)
        height, width = (side * cell // field.pixels_per_cell for side in part.size)
        whole = np.empty((1, field.channels, height, width), np.float32)

        def put(top: int, left: int, values: Array) -> None:
            rows, columns = values.shape[2:]
            whole[..., top : top + rows, left : left + columns] = values

        self._run_part(array, part, put, done)
        return whole

    def _run_part(
        self, array: Array, part: StageWork, put: Put, done: Callable[[int], Any]
    ) -> None:
        stage, layout = part.stage, part.layout
        cell = self._chain.cell(stage)
        reads, writes = (
            cell // self._chain.field(name).pixels_per_cell for name in (stage.reads, stage.gives)
        )
        run = self._runner(stage)
        if isinstance(layout, Grid):
            batch = self._batch(stage)
            blend(array, layout, run, put, reads=reads, writes=writes, batch=batch, done=done)
            return

        def put_window(window: Window, values: Array) -> None:
            put(window.y.first * writes, window.x.first * writes, values)
            done(1)

        run_windows(array, layout, run, put_window, reads=reads, writes=writes)

    def _put(self, store: Store, top: int, left: int, values: Array) -> None:
        result = values[0]
        if store.shape[0] == 1:
            result = result.mean(axis=0, keepdims=True)
        if not store.put(top, left, result):
            label = self._sessions[self._chain.names[-1]].artifact.label
            raise BundleError(
                f"{label}: expected finite pixels, found NaN or infinity; see `tinysr parity`"
            )

    def _runner(self, stage: Stage) -> Callable[[Array], Array]:
        return lambda array: self._run(stage, array)

    def _run(self, stage: Stage, array: Array) -> Array:
        """Run a graph of one input and one output, filling up a batch of fixed size."""
        session = self._sessions[stage.name]
        (into,), (out,) = session.artifact.inputs, session.artifact.outputs
        count, fixed = array.shape[0], into.shape[0]
        if isinstance(fixed, int) and fixed != count:
            array = np.concatenate([array, np.repeat(array[-1:], fixed - count, axis=0)])
        return session.run({into.name: np.ascontiguousarray(array)})[out.name][:count]

    def _batch(self, stage: Stage) -> int:
        """Return how many tiles a run takes; of anything else it is one."""
        session = self._sessions[stage.name]
        size = session.artifact.inputs[0].shape[0]
        if isinstance(size, int):
            return size
        if stage.division.kind != "tiles":
            return 1
        return min(_DEFAULT_BATCH, session.largest_batch or _DEFAULT_BATCH)

    def _check_window(self, window: int | None) -> None:
        windows = [s for s in self._chain.stages if isinstance(s.division, Windows)]
        if window is None:
            return
        step = max((self._chain.pixels(stage, 1) for stage in windows), default=1)
        around = find_surroundings(self._chain)
        if window % step or window <= around:
            raise UnsupportedError(
                f"window {window}: expected a multiple of {step} pixels over {around}, "
                "which are the surroundings of what a window gives"
            )
