"""Images four times the size: everything that the backends have in common."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tinysr.errors import BundleError, ImageError
from tinysr.manifest import Stage

from . import areas
from .bundle import Bundle
from .color import color_fix
from .geometry import LATENT_STRIDE, SCALE, Plan, Planes, pad, plan, resize
from .pixels import array_from_planes, picture_from_pil, planes_from_array
from .registry import AUTO, STAGES, Choice, choose
from .session import Array, RunOptions, Session
from .tiling import blend, grid

__all__ = ["MAX_MEGAPIXELS", "Progress", "Upscaler"]

MAX_MEGAPIXELS = 256.0
"""Largest result that is made unless more is asked for, in 10⁶ pixels."""

Progress = Callable[[int, int], None]
"""Called after each step with the number of steps done, and of all of them."""

_DEFAULT_BATCH = 4
"""Tiles of one call, where a graph takes any number."""


class Upscaler:
    """A bundle, open on one backend. Use it as a context manager, or call :meth:`close`.

    Images are encoded and decoded whole, very large ones area by area with the same result; only
    the transformer sees tiles. Sizes are treated as
    :func:`~tinysr.runtime.geometry.plan` says, and the result is always exactly 4 times the input.
    """

    def __init__(
        self,
        bundle: str | Path | Bundle,
        *,
        backend: str = AUTO,
        precision: str | None = None,
        color: str = "adain",
        provider: str | None = None,
        threads: int | None = None,
        model: Any = None,
        max_megapixels: float = MAX_MEGAPIXELS,
    ) -> None:
        """Choose a backend and open its graphs.

        Args:
            bundle: a bundle or its folder.
            backend: a backend's name, or `auto`: the best that works and passed parity.
            precision: of the artifacts; None takes the first that passed.
            color: the colour fix over the whole image: adain, wavelet or none.
            provider: a backend's device library, such as cuda; None is the backend's default.
            threads: CPU threads; None leaves it to the backend.
            model: a loaded TinySR or its path, for the backend eager.
            max_megapixels: larger results are refused.

        Raises:
            TinySRError: one of its kinds, with what is missing or wrong in one line.
        """
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle(bundle)
        self._fix = color_fix(color)
        self._limit = max_megapixels
        options = RunOptions(provider=provider, threads=threads, model=model)
        opener, choice = choose(self.bundle, backend, precision, options)
        self.choice: Choice = choice
        """The backend that was chosen, and why."""
        self.sessions: dict[Stage, Session] = {}
        """The open graphs."""
        self._open = ExitStack()
        with ExitStack() as opening:
            for stage in STAGES:
                artifact = opener.artifact(self.bundle, stage, self.choice.precision)
                self.sessions[stage] = opening.enter_context(opener.open(self.bundle, artifact))
            self._open = opening.pop_all()
        self._tile = _latent_tile(self.bundle, self.sessions["transformer"])

    @overload
    def upscale(self, image: Image.Image, progress: Progress | None = None) -> Image.Image: ...
    @overload
    def upscale(self, image: NDArray[Any], progress: Progress | None = None) -> NDArray[Any]: ...
    def upscale(
        self, image: Image.Image | NDArray[Any], progress: Progress | None = None
    ) -> Image.Image | NDArray[Any]:
        """Return an image four times the size, of the same type.

        Args:
            image: a Pillow image, converted as
                :func:`~tinysr.runtime.pixels.picture_from_pil` says, or an array of RGB pixels
                ``[H, W, 3]`` in uint8 or float32 in [0, 1].
            progress: called after each step.

        Raises:
            ImageError: the image can't be used, or the result would be over the limit.
        """
        if isinstance(image, Image.Image):
            self._check_size(*image.size)  # before it is decoded
            picture = picture_from_pil(image)
            return picture.restored(self._planes(picture.planes, progress))
        planes = planes_from_array(image)
        self._check_size(planes.shape[2], planes.shape[1])
        return array_from_planes(self._planes(planes, progress), image.dtype)

    def _check_size(self, width: int, height: int) -> None:
        size = self._plan(width, height).megapixels
        if size > self._limit:
            raise ImageError(
                f"a result of {size:.0f} megapixels from {width}×{height}: expected at most "
                f"{self._limit:g}; raise max_megapixels (--max-megapixels)"
            )

    def _plan(self, width: int, height: int) -> Plan:
        return plan(width, height, self.bundle.manifest.tile)

    def _planes(self, image: Planes, progress: Progress | None) -> Planes:
        """Upscale planes ``[3, H, W]`` to ``[3, 4H, 4W]``, not clipped."""
        sizes = self._plan(image.shape[2], image.shape[1])
        source = resize(image, sizes.scaled)
        result = self._run(pad(source, sizes.padded)[None], progress)[0]
        if sizes.padded != sizes.scaled:
            width, height = sizes.scaled
            result = np.ascontiguousarray(result[:, : height * SCALE, : width * SCALE])
        return resize(self._fix(result, source), sizes.output)

    def _run(self, image: Array, progress: Progress | None) -> Array:
        """Map ``[1, 3, H, W]`` to ``[1, 3, 4H, 4W]``, both sides multiples of 4."""
        height, width = image.shape[2] // LATENT_STRIDE, image.shape[3] // LATENT_STRIDE
        tiles = grid(height, width, self._tile, self.bundle.manifest.overlap)
        halo, side = self.bundle.manifest.halo, areas.AREA * LATENT_STRIDE
        encodings = areas.count_areas(image.shape[2], image.shape[3], side)
        decodings = areas.count_areas(height, width, areas.AREA)
        step = _Steps(progress, encodings + len(tiles) + decodings)
        latents = areas.run_areas(
            image,
            lambda part: self._stage("encoder", part),
            side=side,
            halo=halo.encoder,
            resized=lambda pixels: pixels // LATENT_STRIDE,
            done=step,
        )
        latents -= blend(latents, tiles, self._predict, batch=self._batch, done=step)
        result = areas.run_areas(
            latents,
            lambda part: self._stage("decoder", part),
            side=areas.AREA,
            halo=halo.decoder,
            resized=lambda pixels: pixels * LATENT_STRIDE * SCALE,
            done=step,
        )
        if not np.isfinite(result.sum()):
            raise BundleError(
                f"{self.sessions['decoder'].artifact.label}: expected finite pixels from "
                f"{self.choice.backend}, found NaN or infinity; see `tinysr parity`"
            )
        return result

    def _predict(self, tiles: Array) -> Array:
        return self._stage("transformer", tiles)

    def _stage(self, stage: Stage, array: Array) -> Array:
        """Run a graph of one input and one output, filling up a batch of fixed size."""
        session = self.sessions[stage]
        (into,), (out,) = session.artifact.inputs, session.artifact.outputs
        count, fixed = array.shape[0], into.shape[0]
        if isinstance(fixed, int) and fixed != count:
            array = np.concatenate([array, np.repeat(array[-1:], fixed - count, axis=0)])
        return session.run({into.name: array})[out.name][:count]

    @property
    def _batch(self) -> int:
        size = self.sessions["transformer"].artifact.inputs[0].shape[0]
        return size if isinstance(size, int) else _DEFAULT_BATCH

    def close(self) -> None:
        """Close the graphs; upscaling again is an error."""
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Steps:
    """Counts steps for a progress callback."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def __call__(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(self._done, self._total)


def _latent_tile(bundle: Bundle, transformer: Session) -> int:
    """Return the transformer's tile in latent pixels, once the manifest agrees with itself."""
    tile, overlap = bundle.manifest.tile, bundle.manifest.overlap
    side = tile // LATENT_STRIDE
    shape = transformer.artifact.inputs[0].shape[2:]
    odd = tile % (2 * LATENT_STRIDE) or overlap % 2 or overlap >= side
    if odd or any(isinstance(found, int) and found != side for found in shape):
        raise BundleError(
            f"{bundle.folder}: expected a tile of 4n pixels, an even overlap below its "
            f"{side} latents and a transformer of that size, found tile {tile}, "
            f"overlap {overlap}, transformer {list(shape)}"
        )
    return side
