"""Sources of the suite's photos, and how they were made: `python -m tinysr.suite.photos`.

All are images that scikit-image's wheel carries (``skimage.data``), in the public domain:

    astronaut   Eileen Collins, NASA                     public domain
    camera      Lav Varshney                             CC0
    chelsea     Stéfan van der Walt                      CC0
    coffee      Rachel Michetti                          CC0
    hubble      Hubble Extreme Deep Field, NASA and ESA  public domain
    rocket      SpaceX                                   public domain

Each is a square crop, averaged down to 128×128, and once through JPEG at quality 85: a natural
low-resolution tile.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tinysr.atomic import write_atomically
from tinysr.errors import ImageError, require
from tinysr.suite.images import TILE

__all__ = ["CROPS", "Crop", "write_photos"]

_JPEG_QUALITY = 85


@dataclass(frozen=True, kw_only=True, slots=True)
class Crop:
    """A square of an image of ``skimage.data``, in its pixels."""

    source: str
    top: int
    left: int
    shrink: int
    """Pixels of the source along a pixel of the tile."""


CROPS: dict[str, Crop] = {
    "astronaut": Crop(source="astronaut", top=0, left=90, shrink=2),
    "camera": Crop(source="camera", top=60, left=80, shrink=3),
    "chelsea": Crop(source="chelsea", top=20, left=110, shrink=2),
    "coffee": Crop(source="coffee", top=10, left=130, shrink=3),
    "hubble": Crop(source="hubble_deep_field", top=400, left=300, shrink=2),
    "rocket": Crop(source="rocket", top=20, left=190, shrink=3),
}


def write_photos(folder: Path) -> None:
    """Make every photo of the suite again from scikit-image's originals."""
    data = require("skimage.data", extra="parity")
    for name, crop in CROPS.items():
        original = Image.fromarray(np.asarray(getattr(data, crop.source)())).convert("RGB")
        side = TILE * crop.shrink
        square = original.crop((crop.left, crop.top, crop.left + side, crop.top + side))
        tile = square.resize((TILE, TILE), Image.Resampling.BOX)
        jpeg = io.BytesIO()
        tile.save(jpeg, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
        png = io.BytesIO()
        Image.open(jpeg).save(png, "PNG", optimize=True)
        write_atomically(folder / f"{name}.png", png.getvalue(), ImageError)


if __name__ == "__main__":
    write_photos(Path(__file__).parent / "photos")
