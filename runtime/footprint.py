"""The memory that an image takes on its way, known from its size before anything is made."""

from __future__ import annotations

from dataclasses import dataclass

from .geometry import ImageSize, SizePlan

__all__ = ["Footprint", "estimate_footprint", "is_compact"]

_LARGE = 2**24
"""Pixels above which a result of 8 bits waits in 16 bits for its colour fix."""

_FLOAT = 4
"""Bytes of a value in planes, and of one that waits as it is."""

_COMPACT = 2
"""Bytes of a value that waits in 16 bits."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Footprint:
    """Bytes of what is in memory while an image is made, beside the fields and a window."""

    pixels: int
    """The image as it came."""
    planes: int
    """The image as the network takes it."""
    store: int
    """Output of the network, until the colour fix has seen all of it."""
    result: int
    """The finished pixels, for which the store makes room row by row."""

    @property
    def held(self) -> int:
        """All of it, less the result, which has to be paid for in any case."""
        return self.pixels + self.planes + self.store - self.result

    def peak(self, fields: int) -> int:
        """Return the most that is held at a time, with so many bytes of fields."""
        return self.pixels + self.planes + max(fields + self.store, self.result)


def estimate_footprint(
    sizes: SizePlan, *, channels: int, value_bytes: int, planes: int | None = None
) -> Footprint:
    """Return what an image takes.

    Args:
        sizes: of the image.
        channels: of the image, alpha included.
        value_bytes: of one value of one pixel.
        planes: channels that go through the network; None is all of them.
    """
    planes = channels if planes is None else planes
    pixels = _area(sizes.size)
    made = sizes.made
    each = _COMPACT if is_compact(made, value_bytes) else _FLOAT
    return Footprint(
        pixels=pixels * channels * value_bytes,
        planes=pixels * planes * _FLOAT,
        store=_area(made) * planes * each,
        result=_area(sizes.output) * channels * value_bytes,
    )


def is_compact(made: ImageSize, value_bytes: int) -> bool:
    """Tell whether what the network makes of an image waits in 16 bits."""
    return value_bytes == 1 and _area(made) > _LARGE


def _area(size: ImageSize) -> int:
    return size[0] * size[1]
