"""The example photos, and the picture in the README: `python -m tinysr.training.showcase BUNDLE`.

The photos are those of :mod:`tinysr.training.evaluate`, which no training step saw, under its
severe degradation. The picture is drawn from what the bundle makes of the example files, through
the same runtime that `tinysr upscale` uses.
"""

from __future__ import annotations

import argparse
import io
import sys
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
    photo_pairs,
    psnr,
    upscale_array,
    upscale_bicubic,
)

__all__ = ["EXAMPLES", "View", "draw_showcase", "main", "write_examples"]

Rgb = NDArray[np.uint8]

DEGRADATION = "severe"
"""The evaluation degradation that the example photos have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """The part of an example that the picture shows, in low-resolution pixels."""

    left: int
    top: int


EXAMPLES: dict[str, View] = {
    "astronaut": View(left=34, top=2),
    "camera": View(left=28, top=4),
    "coffee": View(left=32, top=8),
}
"""The photos in ``examples/``, and what the picture shows of each."""

_WIDTH, _HEIGHT = 72, 56  # of a view, in low-resolution pixels
_GAP = 8
_LINE = 24
_INK, _PAPER = (40, 40, 40), (255, 255, 255)


def write_examples(folder: Path) -> list[PhotoPair]:
    """Write every example as a low-resolution PNG; return them with their originals."""
    # All pairs are made, so that these are the very images of the model card's table.
    every = {(pair.photo, pair.degradation): pair for pair in photo_pairs(PHOTOS)}
    pairs = [every[name, DEGRADATION] for name in EXAMPLES]
    for pair in pairs:
        _write_png(folder / f"{pair.photo}.png", Image.fromarray(_bytes(pair.low)))
    return pairs


def draw_showcase(upscaler: Upscaler, pairs: list[PhotoPair], examples: Path) -> Image.Image:
    """Draw input, bicubic and result of each example side by side, PSNR beneath."""
    side = (_WIDTH * SCALE, _HEIGHT * SCALE)
    step = (side[0] + _GAP, side[1] + _GAP + _LINE)
    size = (3 * step[0] - _GAP, len(pairs) * step[1] + _LINE)
    canvas = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(15)  # it has no ×
    name = upscaler.bundle.manifest.name
    for column, title in enumerate(("input, pixels enlarged", "bicubic, 4x", f"{name}, 4x")):
        draw.text((column * step[0], 2), title, _INK, font)
    for row, pair in enumerate(pairs):
        result = np.asarray(upscaler.upscale(Image.open(examples / f"{pair.photo}.png")))
        for column, (pixels, note) in enumerate(_cells(pair, result)):
            left, top = column * step[0], _LINE + row * step[1]
            canvas.paste(_view(pixels, EXAMPLES[pair.photo]), (left, top))
            draw.text((left, top + side[1] + 2), note, _INK, font)
    return canvas


def _cells(pair: PhotoPair, result: Rgb) -> list[tuple[Rgb, str]]:
    """Return the row's images at full size, each with its caption."""
    nearest = _bytes(pair.low).repeat(SCALE, axis=0).repeat(SCALE, axis=1)
    smooth = _bytes(upscale_array(upscale_bicubic, pair.low))
    height, width = pair.low.shape[:2]
    return [
        (nearest, f"{pair.photo}, {width}x{height}"),
        (smooth, _caption(pair, smooth)),
        (result, _caption(pair, result)),
    ]


def _caption(pair: PhotoPair, pixels: Rgb) -> str:
    image = pixels.astype(np.float32) / np.float32(255)
    return f"{psnr(image, pair.high):.2f} dB over the whole photo"


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
    parser.add_argument("bundle", type=Path, help="the bundle's folder")
    parser.add_argument("--examples", type=Path, default=Path("examples"), help="photos to write")
    parser.add_argument("--picture", type=Path, default=Path("docs/showcase.png"))
    options = parser.parse_args(arguments)
    with Upscaler(options.bundle) as upscaler:
        _check_weights(upscaler.bundle.manifest.source, options.bundle)
        pairs = write_examples(options.examples)
        picture = draw_showcase(upscaler, pairs, options.examples)
    _write_png(options.picture, picture)
    Output().line(f"Wrote {options.examples} and {options.picture}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
