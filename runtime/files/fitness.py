"""Fitness of a format for an image, apart from its size: asked at reading, and again later.

An hour in the network is too long to learn that the result can't be written.
"""

from __future__ import annotations

from tinysr.errors import ImageError

from ..background import has_transparency
from ..raster import Metadata, Raster
from .png_colour import find_unique_chunk
from .png_packets import is_comment

__all__ = ["check_holds", "describe_dropped"]

_MOST_EXIF = 65_533
"""Bytes that fit a segment of a JPEG file."""


_PLACES = {
    "PNG text": ("png",),
    "IPTC data": ("png", "jpg", "tiff"),
    "comment": ("png", "jpg"),
}
"""Formats with a place for metadata that not all have."""


def describe_dropped(file_format: str, metadata: Metadata) -> tuple[str, ...]:
    """Return notes on the metadata of an image that a format has no place for."""
    # A text that is called a comment becomes one.
    texts = [text for text in metadata.png_text if file_format != "jpg" or not is_comment(text)]
    found = {"PNG text": texts, "IPTC data": metadata.iptc, "comment": metadata.comment}
    return tuple(
        f"its {what} is left out: {file_format} has no place for it, {' and '.join(places)} "
        f"{'have' if len(places) > 1 else 'has'}"
        for what, places in _PLACES.items()
        if found[what] and file_format not in places
    )


def check_holds(file_format: str, raster: Raster) -> None:
    """Refuse what a format has no place for.

    Args:
        file_format: one of :data:`~tinysr.runtime.files.FORMATS`.
        raster: an image before or after it is enlarged: what is opaque stays so.

    Raises:
        ImageError: only PNG can say its colours, or JPEG has no place for its transparency or
            metadata.
    """
    colours = find_unique_chunk(raster.metadata) if file_format != "png" else None
    if colours is not None:
        raise ImageError(
            f"only PNG can say what these colours mean ({colours}); as {file_format} they would be "
            "shown wrong: write png"
        )
    if file_format != "jpg":
        return
    if has_transparency(raster.pixels):
        raise ImageError(
            "JPEG holds no transparency: write png, webp or tiff, or put a colour behind the image "
            "with --background white"
        )
    found = raster.metadata
    if found.exif is not None and len(found.exif) > _MOST_EXIF:
        raise ImageError(
            f"JPEG holds at most {_MOST_EXIF} bytes of EXIF data, found {len(found.exif)}: "
            "write png, webp or tiff"
        )
