"""Results: images that the network has left, to be finished when they are wanted."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinysr.errors import UnsupportedError

from .exhaustion import MORE_ROOM, report_exhaustion
from .planes import pixels_from_rows
from .raster import Pixels
from .rows import Rows

__all__ = ["Result"]


class Result:
    """Output of the network for one image; colour, size and depth are still to be done."""

    def __init__(self, rows: Rows, dtype: np.dtype[Any], *, divided: tuple[str, ...] = ()) -> None:
        self._rows: Rows | None = rows
        self._dtype = dtype
        self.divided = divided
        """Notes on stages that memory decides for, whether they took the image whole or in tiles;
        the two differ."""

    def pixels(self) -> Pixels:
        """Return the finished image ``[H, W, C]``. Once: memory is freed on the way.

        It may be called in another thread, while the next image is in the network.
        """
        rows, self._rows = self._rows, None
        if rows is None:
            raise UnsupportedError("a result gives its pixels once; keep them")
        with report_exhaustion("finishing the result", MORE_ROOM):
            return pixels_from_rows(rows, self._dtype)
