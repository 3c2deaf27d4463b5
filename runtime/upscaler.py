"""Images made larger: everything that the backends have in common."""

from __future__ import annotations

from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tinysr.errors import ImageError
from tinysr.stages import StageName

from .admission import check_memory, check_result, default_memory_mb
from .arguments import MAX_MEGAPIXELS, SCALES, check_arguments
from .bundle import Bundle
from .color import color_fix, find_own_color
from .exhaustion import MORE_ROOM, report_exhaustion
from .footprint import estimate_footprint
from .geometry import ImageSize, SizePlan, plan
from .headroom import measure_headroom
from .network import Network, Pace
from .pillow import pil_from_raster, raster_from_pil
from .raster import Pixels, Raster, check_pixels
from .registry import AUTO, Choice, choose
from .render import CountProgress, render
from .result import Result
from .session import RunOptions, Session

__all__ = ["MAX_MEGAPIXELS", "SCALES", "CountProgress", "Upscaler"]

Picture = TypeVar("Picture", Image.Image, NDArray[Any])


class Upscaler:
    """A bundle, open on one backend. Use it as a context manager, or call :meth:`close`.

    Convolutional stages run on the whole image, in windows if it is large, with the same result;
    only those with global context see tiles, which are blended. Sizes are treated as
    :func:`~tinysr.runtime.geometry.plan` says.
    """

    def __init__(
        self,
        bundle: str | Path | Bundle,
        *,
        backend: str = AUTO,
        precision: str | None = None,
        color: str | None = None,
        provider: str | None = None,
        threads: int | None = None,
        model: Any = None,
        scale: float | None = None,
        max_megapixels: float = MAX_MEGAPIXELS,
        memory_mb: float | None = None,
        window: int | None = None,
    ) -> None:
        """Choose a backend and open its graphs.

        Args:
            bundle: a bundle or its folder.
            backend: a backend's name, or `auto`: the best that works and passed parity.
            precision: of the artifacts; None takes the first that passed.
            color: the colour fix over the whole image: adain, wavelet or none; None is the
                model's own.
            provider: a backend's device library, such as cuda; None is the backend's default.
            threads: CPU threads; None leaves it to the backend.
            model: a loaded model or its path, for the backend eager.
            scale: the result's sides over the image's; None is the network's own scale, and for
                any other its result is resampled.
            max_megapixels: larger results are refused, in 10⁶ pixels.
            memory_mb: 10⁶ bytes for one image beside the model and the result: windows are as
                large as that allows, and larger ones are faster. None is
                :data:`~tinysr.runtime.MEMORY_MB`, or half of what is free if that is less.
            window: their side in low-resolution pixels, in place of what the memory allows.

        Raises:
            TinySRError: one of its kinds, with what is missing or wrong in one line.
        """
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle(bundle)
        manifest = self.bundle.manifest
        self._chain = manifest.chain
        self.scale: float = self._chain.scale if scale is None else scale
        """Sides of a result over those of its image."""
        check_arguments(scale=self.scale, max_megapixels=max_megapixels, memory_mb=memory_mb)
        self.color: str = find_own_color(manifest.config) if color is None else color
        """The colour fix."""
        self._fix = color_fix(self.color)
        self._limit = max_megapixels
        self._pace: Pace | None = None
        self.memory_mb = default_memory_mb() if memory_mb is None else memory_mb
        """Memory that one image may take beside the model and the result, in 10⁶ bytes."""
        options = RunOptions(provider=provider, threads=threads, model=model)
        opener, choice = choose(self.bundle, backend, precision, options)
        self.choice: Choice = choice
        """The backend that was chosen, and why."""
        self.sessions: dict[StageName, Session] = {}
        """The open graphs."""
        self._open = ExitStack()
        with ExitStack() as opening:
            for stage in self._chain.names:
                artifact = opener.artifact(self.bundle, stage, self.choice.precision)
                with report_exhaustion(f"opening {artifact.label}", MORE_ROOM):
                    session = opener.open(self.bundle, artifact)
                self.sessions[stage] = opening.enter_context(session)
            network = Network(manifest, self.sessions, memory_mb=self.memory_mb, window=window)
            self._network = opening.enter_context(closing(network))
            self._open = opening.pop_all()
        # Now, while no image is in work: later, the one before would count against the next.
        self._room = measure_headroom().with_swap

    def upscale(
        self, image: Picture, progress: CountProgress | None = None, *, alpha_is_data: bool = False
    ) -> Picture:
        """Return a larger image of the same type.

        What is assumed: values are as they are meant to be shown, which for photos is sRGB or
        another gamma-encoded space, not linear light. Alpha is straight, not premultiplied; where
        it varies, it runs through the network as well and takes as long again. Nothing else is
        known of an array: it is upright, and has no profile.

        Args:
            image: a Pillow image, which keeps what
                :func:`~tinysr.runtime.pillow.raster_from_pil` says, or an array: grey ``[H, W]``
                or ``[H, W, 1]``, grey and alpha ``[H, W, 2]``, RGB ``[H, W, 3]`` or RGBA
                ``[H, W, 4]``, in uint8 or uint16 over their full range, or in float32 or float64
                in [0, 1], in any byte order. It is left as it is.
            progress: called after each step.
            alpha_is_data: alpha is no opacity, as in game textures: colours and alpha are enlarged
                apart, and colours stay where alpha is 0.

        Returns:
            For an array one of the same kind and dtype, floats clipped to [0, 1]; float64 is
            computed in float32.

        Raises:
            ImageError: the image can't be used, or the result would be over the limit.
        """
        if isinstance(image, Image.Image):
            channels, deep = len(image.getbands()), image.mode.startswith(("I", "F"))
            # Before it is decoded.
            self.check_size(*image.size, channels=channels, value_bytes=4 if deep else 1)
            raster = raster_from_pil(image)
            pixels = self.infer(raster.pixels, progress, alpha_is_data=alpha_is_data).pixels()
            return pil_from_raster(Raster(pixels=pixels, metadata=raster.metadata))
        if not isinstance(image, np.ndarray):
            raise ImageError(
                f"expected a Pillow image or a NumPy array, found {type(image).__name__}: open a "
                "file with PIL.Image.open"
            )
        pixels = image[..., None] if image.ndim == 2 else image
        native = image.dtype.newbyteorder("=")
        pixels = pixels.astype(np.float32 if native == np.float64 else native, copy=False)
        found = self.infer(pixels, progress, alpha_is_data=alpha_is_data).pixels()
        result = found.astype(image.dtype, copy=False)
        return result[..., 0] if image.ndim == 2 else result

    def output_size(self, width: int, height: int) -> ImageSize:
        """Return width and height of the result for an image."""
        return self._plan(width, height).output

    @property
    def tile(self) -> int:
        """Side of a tile, in pixels of the image as it comes."""
        return self.bundle.manifest.tile

    def burden(self, width: int, height: int) -> float:
        """Return the size of the largest image on the way to a result, in 10⁶ pixels."""
        return self._plan(width, height).megapixels

    def check_size(
        self, width: int, height: int, *, channels: int = 3, value_bytes: int = 1
    ) -> None:
        """Refuse an image that is too large, from its header alone.

        Args:
            width: in pixels.
            height: in pixels.
            channels: alpha included.
            value_bytes: of one value of one pixel.

        Raises:
            ImageError: its result is over ``max_megapixels``, or it takes more memory than there
                is, which depends on the image, not on the result.
        """
        sizes = self._plan(width, height)
        check_result(sizes, self._limit)
        taken = estimate_footprint(sizes, channels=channels, value_bytes=value_bytes)
        check_memory(sizes, taken, self._network.field_bytes(*sizes.padded), self._room)

    def estimate_seconds(self, width: int, height: int, *, channels: int = 3) -> float:
        """Return about how long the network will take for an image, by a measurement on one tile.

        The first call measures, which takes the time of a few tiles. Colour, and writing the
        result, come on top; so does whatever else the machine does meanwhile.
        """
        if self._pace is None:
            self._pace = self._network.pace()
        sizes = self._plan(width, height)
        taken = estimate_footprint(sizes, channels=channels, value_bytes=1)
        work = self._network.divide(*sizes.padded, taken.held)
        images = 1 if channels in (1, 3) else 2  # opacity goes through by itself
        return images * self._pace.seconds(work)

    def infer(
        self, pixels: Pixels, progress: CountProgress | None = None, *, alpha_is_data: bool = False
    ) -> Result:
        """Run the network on an image ``[H, W, 1 to 4]``; what it gives is still to be finished.

        Args:
            pixels: see :data:`~tinysr.runtime.raster.Pixels`.
            progress: called after each step.
            alpha_is_data: see :func:`~tinysr.runtime.render.render`.

        Raises:
            ImageError: the image can't be used, or the result would be over the limit.
            OutOfMemoryError: a library could not get what it needs.
        """
        check_pixels(pixels)
        height, width, channels = pixels.shape
        self.check_size(width, height, channels=channels, value_bytes=pixels.itemsize)
        sizes = self._plan(width, height)
        remedy = f"--memory (memory_mb) below {self.memory_mb:.0f} takes less; {MORE_ROOM}"
        with report_exhaustion(f"an image of {width}×{height}", remedy):
            rows, work = render(
                pixels, sizes, self._network, self._fix, progress, alpha_is_data=alpha_is_data
            )
            return Result(rows, pixels.dtype, divided=work.notes)

    def _plan(self, width: int, height: int) -> SizePlan:
        return plan(width, height, self._chain, self.scale, self._network.least)

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
