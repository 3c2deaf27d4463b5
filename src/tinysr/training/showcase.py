"""The example photos, and the picture in the README: `python -m tinysr.training.showcase BUNDLE`.

The photos are those of :mod:`tinysr.training.evaluate`, which no training step saw, under its
severe degradation. The picture is drawn from what the bundle makes of the example files, through
the same runtime that `tinysr upscale` uses.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from tinysr.atomic import write_atomically
from tinysr.errors import BundleError, ImageError
from tinysr.manifest import Source
from tinysr.models import SCALE, load_source
from tinysr.runtime import Upscaler
from tinysr.terminal import Output, program
from tinysr.training.evaluate import (
    PHOTOS,
    PhotoPair,
    Upscale,
    photo_pairs,
    psnr,
    upscale_array,
    upscale_bicubic,
)
from tinysr.training.image_teachers import load_image_teacher
from tinysr.training.packaged import TEACHER_NAME, find_packaged

__all__ = [
    "EXAMPLES",
    "ORIGINAL",
    "Column",
    "View",
    "bundle_column",
    "draw_showcase",
    "main",
    "network_column",
    "write_examples",
]

Rgb = NDArray[np.uint8]

PEER = "Real-ESRGAN x4plus"
"""Title of the peer's column."""

DEGRADATION = "severe"
"""The evaluation degradation that the example photos have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """The part of an example that the picture shows, in low-resolution pixels."""

    left: int
    top: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A column of the picture."""

    title: str
    make: Callable[[PhotoPair], Rgb]
    """Image that is shown of an example: the whole one, ``[4h, 4w, 3]`` in 8 bits."""


EXAMPLES: dict[str, View] = {
    "astronaut": View(left=34, top=2),
    "camera": View(left=28, top=4),
    "coffee": View(left=32, top=8),
}
"""The photos in ``examples/``, and what the picture shows of each."""

_WIDTH, _HEIGHT = 72, 56  # of a view, in low-resolution pixels
_GAP = 8
_LINE = 24
_SAME_DB = 100.0
"""PSNR over which an image is the original itself."""

_INK, _PAPER = (40, 40, 40), (255, 255, 255)


def write_examples(folder: Path) -> list[PhotoPair]:
    """Write every example as a low-resolution PNG; return them with their originals."""
    # All pairs are made, so that these are the very images of the model card's table.
    every = {(pair.photo, pair.degradation): pair for pair in photo_pairs(PHOTOS)}
    pairs = [every[name, DEGRADATION] for name in EXAMPLES]
    for pair in pairs:
        _write_png(folder / f"{pair.photo}.png", Image.fromarray(_bytes(pair.low)))
    return pairs


def draw_showcase(columns: Sequence[Column], pairs: Sequence[PhotoPair]) -> Image.Image:
    """Draw each example as every column makes it, side by side, its PSNR beneath."""
    side = (_WIDTH * SCALE, _HEIGHT * SCALE)
    step = (side[0] + _GAP, side[1] + _GAP + _LINE)
    size = (len(columns) * step[0] - _GAP, len(pairs) * step[1] + _LINE)
    canvas = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(15)  # it has no ×
    for index, column in enumerate(columns):
        draw.text((index * step[0], 2), column.title, _INK, font)
        for row, pair in enumerate(pairs):
            left, top = index * step[0], _LINE + row * step[1]
            pixels = column.make(pair)
            canvas.paste(_view(pixels, EXAMPLES[pair.photo]), (left, top))
            draw.text((left, top + side[1] + 2), _caption(pair, pixels), _INK, font)
    return canvas


def bundle_column(upscaler: Upscaler, examples: Path) -> Column:
    """Return the column of what a bundle makes of the example files, as `tinysr upscale` does."""

    def make(pair: PhotoPair) -> Rgb:
        return np.asarray(upscaler.upscale(Image.open(examples / f"{pair.photo}.png")))

    return Column(title=upscaler.bundle.manifest.name, make=make)


def network_column(title: str, upscale: Upscale) -> Column:
    """Return the column of a network or an interpolation."""
    return Column(title=title, make=lambda pair: _bytes(upscale_array(upscale, pair.low)))


ORIGINAL = Column(title="original", make=lambda pair: _bytes(pair.high))
"""Column of the photos that the examples were made from."""


def _caption(pair: PhotoPair, pixels: Rgb) -> str:
    image = pixels.astype(np.float32) / np.float32(255)
    found = psnr(image, _bytes(pair.high).astype(np.float32) / np.float32(255))
    return pair.photo if found > _SAME_DB else f"{found:.2f} dB over the whole photo"


def _write_png(path: Path, image: Image.Image) -> None:
    file = io.BytesIO()
    image.save(file, "PNG", optimize=True)
    write_atomically(path, file.getvalue(), ImageError)


def _check_weights(source: Source, bundle: Path) -> None:
    """Refuse a bundle of older weights: its picture would not be what users get."""
    if source.kind != "preset":
        raise BundleError(f"{bundle}: not made from the packaged weights: export it again")
    load_source(source)


def _view(pixels: Rgb, view: View) -> Image.Image:
    left, top = view.left * SCALE, view.top * SCALE
    part = pixels[top : top + _HEIGHT * SCALE, left : left + _WIDTH * SCALE]
    return Image.fromarray(part)


def _bytes(image: NDArray[np.float32]) -> Rgb:
    return (image * 255).round().astype(np.uint8)


@program
def main(arguments: list[str] | None = None) -> int:
    """Make the example photos and the picture again; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tinysr.training.showcase")
    parser.add_argument("bundles", nargs="+", type=Path, help="folders of bundles, a column each")
    parser.add_argument("--examples", type=Path, default=Path("examples"), help="photos to write")
    parser.add_argument("--picture", type=Path, default=Path("docs/showcase.png"))
    parser.add_argument("--peer", action="store_true", help="show Real-ESRGAN x4plus beside them")
    options = parser.parse_args(arguments)
    with ExitStack() as opened:
        upscalers = [opened.enter_context(Upscaler(bundle)) for bundle in options.bundles]
        for upscaler in upscalers:
            _check_weights(upscaler.bundle.manifest.source, upscaler.bundle.folder)
        pairs = write_examples(options.examples)
        columns = [network_column("bicubic", upscale_bicubic)]
        columns += [bundle_column(upscaler, options.examples) for upscaler in upscalers]
        if options.peer:
            columns.append(network_column(PEER, load_image_teacher(find_packaged(TEACHER_NAME))))
        picture = draw_showcase([*columns, ORIGINAL], pairs)
    _write_png(options.picture, picture)
    Output().line(f"Wrote {options.examples} and {options.picture}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
