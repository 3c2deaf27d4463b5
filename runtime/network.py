"""The network on a whole image: encode in windows, predict in blended tiles, decode in windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinysr.errors import BundleError, UnsupportedError
from tinysr.manifest import Manifest, Stage

from .geometry import LATENT_STRIDE, SCALE, Planes
from .latents import latent_channels, latent_sides, latent_tile, longest_latents
from .pace import Pace, measure_pace
from .session import Array, Session
from .store import Store
from .tiling import Grid, blend, lay_grid
from .windows import Window, WindowLayout, lay_out, lay_out_fixed, lay_out_squares, run_windows

__all__ = ["MEMORY_MB", "ImageWork", "Network"]

MEMORY_MB = 1200.0
"""Memory for one image beside the model, the process and the result, in 10⁶ bytes, unless more is
asked for or the machine has less; see :func:`~tinysr.runtime.admission.default_memory_mb`."""

_DEFAULT_BATCH = 4
"""Tiles of one call, where a graph takes any number."""

_LATENT_SIDE = LATENT_STRIDE * SCALE
"""Pixels of the result along a latent pixel's side."""


_ONE_TILE = 3
"""The steps of an image that is one window and one tile."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageWork:
    """One image, divided among runs."""

    layout: WindowLayout
    """The windows of the autoencoder."""
    tiles: Grid
    """The tiles of the transformer."""

    @property
    def steps(self) -> int:
        """What a run of the network reports in all."""
        return 2 * len(self.layout) + len(self.tiles)


class Network:
    """The three stages, and how an image is divided among their runs."""

    def __init__(
        self,
        manifest: Manifest,
        sessions: Mapping[Stage, Session],
        *,
        memory_mb: float = MEMORY_MB,
        window: int | None = None,
    ) -> None:
        """Check that the stages fit each other.

        Args:
            manifest: of the bundle.
            sessions: by stage; looked up at each run.
            memory_mb: for one image, in 10⁶ bytes; the windows are as large as that allows.
            window: side of the windows that the autoencoder runs on, in low-resolution pixels;
                None takes the largest that the memory allows. Graphs of fixed sizes take theirs.

        Raises:
            BundleError: the manifest contradicts itself.
            UnsupportedError: the window is not larger than what surrounds it.
        """
        self._manifest, self._sessions = manifest, sessions
        self._memory = memory_mb * 1e6
        self._tile = latent_tile(manifest, sessions["transformer"])
        self._halo = manifest.halo.latents
        surroundings = 2 * self._halo * LATENT_STRIDE
        if window is not None and (window % LATENT_STRIDE or window <= surroundings):
            raise UnsupportedError(
                f"window {window}: expected an even number of pixels over {surroundings}, "
                "which are the surroundings of what a window gives"
            )
        self._window = window
        self._limit = longest_latents(sessions, surroundings, window)
        """Latent pixels along a window's side at most, where graphs take no more."""
        self._sides = latent_sides(sessions)
        """Latent pixels along a window's side, where graphs take no other."""
        self._latent_channels = latent_channels(manifest, sessions)
        # Last, for it holds something: the network closes it.
        self._joined = sessions["encoder"].join(
            {stage: sessions[stage] for stage in ("transformer", "decoder")}
        )

    def close(self) -> None:
        """Free what joins the sessions; they are closed by their owner, afterwards."""
        joined, self._joined = self._joined, None
        if joined is not None:
            joined.close()

    def divide(self, width: int, height: int, held: int) -> ImageWork:
        """Divide an image among runs.

        Args:
            width: in low-resolution pixels, a multiple of 4 and at least a tile.
            height: likewise.
            held: bytes that are in memory beside the latents and what the runs themselves need,
                less those of the result.
        """
        width, height = width // LATENT_STRIDE, height // LATENT_STRIDE
        tiles = lay_grid(height, width, self._tile, self._manifest.overlap)
        if self._sides:
            layout = lay_out_fixed(height, width, halo=self._halo, sides=self._sides)
        elif self._window is not None:
            side = self._window // LATENT_STRIDE
            layout = lay_out_squares(height, width, halo=self._halo, side=side)
        else:
            latents = self.latent_bytes(width * LATENT_STRIDE, height * LATENT_STRIDE)
            area = int(self._memory - held - latents) // self._manifest.feature_bytes
            layout = lay_out(height, width, halo=self._halo, area=area)
            if self._limit is not None and layout.longest > self._limit:
                layout = lay_out_squares(height, width, halo=self._halo, side=self._limit)
        return ImageWork(layout=layout, tiles=tiles)

    def run(
        self,
        image: Planes,
        work: ImageWork,
        store: Store,
        done: Callable[[int], Any] = lambda _: None,
    ) -> None:
        """Map an image ``[3, H, W]`` to the result ``[3, 4H, 4W]``.

        Args:
            image: about [0, 1].
            work: for this size of image.
            store: is filled with the result, or with the mean of its channels if it has one.
            done: told the number of steps after each run of a stage.

        Raises:
            BundleError: the result is not finite.
        """
        if self._joined is not None and work.steps == _ONE_TILE:
            (window,) = work.layout
            self._put(store, window, self._joined.run(np.ascontiguousarray(image[None]))[0])
            done(work.steps)
            return
        latents = self._encode(image[None], work.layout, done)
        latents -= blend(latents, work.tiles, self._predict, batch=self._batch, done=done)
        self._decode(latents, work.layout, store, done)

    def pace(self) -> Pace:
        """Measure how fast the stages are now, on one tile."""
        side = min(self._sides, default=self._tile)
        return measure_pace(self._stage, side=side, tile=self._tile, batch=self._batch)

    def latent_bytes(self, width: int, height: int) -> int:
        """Return the bytes of the latents of an image of these sides, in low-resolution pixels."""
        return (width // LATENT_STRIDE) * (height // LATENT_STRIDE) * 4 * self._latent_channels

    def _encode(self, image: Array, layout: WindowLayout, done: Callable[[int], Any]) -> Array:
        whole: list[Array] = []

        def put(window: Window, part: Array) -> None:
            if len(layout) == 1:
                whole.append(part)
            elif not whole:
                height, width = layout.rows[-1].last, layout.columns[-1].last
                whole.append(np.empty((*part.shape[:2], height, width), part.dtype))
            if len(layout) > 1:
                y, x = window.y, window.x
                whole[0][..., y.first : y.last, x.first : x.last] = part
            done(1)

        run_windows(
            image,
            layout,
            lambda part: self._stage("encoder", part),
            put,
            reads=LATENT_STRIDE,
            writes=1,
        )
        return whole[0]

    def _decode(
        self, latents: Array, layout: WindowLayout, store: Store, done: Callable[[int], Any]
    ) -> None:
        def put(window: Window, part: Array) -> None:
            self._put(store, window, part[0])
            done(1)

        run_windows(
            latents,
            layout,
            lambda part: self._stage("decoder", part),
            put,
            reads=1,
            writes=_LATENT_SIDE,
        )

    def _put(self, store: Store, window: Window, values: Array) -> None:
        if store.shape[0] == 1:
            values = values.mean(axis=0, keepdims=True)
        row, column = window.y.first * _LATENT_SIDE, window.x.first * _LATENT_SIDE
        if not store.put(row, column, values):
            raise BundleError(
                f"{self._sessions['decoder'].artifact.label}: expected finite pixels, "
                "found NaN or infinity; see `tinysr parity`"
            )

    def _predict(self, tiles: Array) -> Array:
        return self._stage("transformer", tiles)

    def _stage(self, stage: Stage, array: Array) -> Array:
        """Run a graph of one input and one output, filling up a batch of fixed size."""
        session = self._sessions[stage]
        (into,), (out,) = session.artifact.inputs, session.artifact.outputs
        count, fixed = array.shape[0], into.shape[0]
        if isinstance(fixed, int) and fixed != count:
            array = np.concatenate([array, np.repeat(array[-1:], fixed - count, axis=0)])
        return session.run({into.name: np.ascontiguousarray(array)})[out.name][:count]

    @property
    def _batch(self) -> int:
        session = self._sessions["transformer"]
        size = session.artifact.inputs[0].shape[0]
        if isinstance(size, int):
            return size
        return min(_DEFAULT_BATCH, session.largest_batch or _DEFAULT_BATCH)
