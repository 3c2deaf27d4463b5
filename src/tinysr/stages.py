"""Stages of a model: what each reads and gives, and how an image is divided for it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field as Bounded
from pydantic import model_validator

from tinysr.records import StrictRecord

__all__ = [
    "CENTRE",
    "IMAGE",
    "RESULT",
    "STEP",
    "WHOLE",
    "Division",
    "Field",
    "Stage",
    "StageName",
    "Tiles",
    "Whole",
    "Windows",
]

IMAGE = "image"
"""Name of what the first stage reads: RGB in about [0, 1]."""

RESULT = "upscaled"
"""Name of what the last stage gives: RGB in about [0, 1], not clamped."""

WHOLE = "upscale"
"""Name of the graph of all stages in one, for tiles of one size; and of the only stage of a chain
that has but one."""

STEP = "step"
"""Name of the module, in a stage that restores, which subtracts: it computes in fp32."""

CENTRE = "centre"
"""Name of the module, in a stage that reads an image, which maps it to [-1, 1]: it computes in
fp32, for a grey image is a small difference of large values there."""

_LARGEST = 2**20
"""Bound of every size: more is a damaged file."""

StageName = Annotated[str, Bounded(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
"""Name of a stage, which graphs and files bear."""

_Count = Annotated[int, Bounded(ge=1, le=_LARGEST)]


class Field(StrictRecord):
    """A tensor ``[N, channels, H, W]`` between two stages, or at an end of the chain."""

    name: StageName
    channels: _Count
    pixels_per_cell: _Count
    """Pixels of the result along the side of a cell, which is one place of the tensor: the image
    has the model's scale, the latents of Stable Diffusion 8, the result 1."""
    unit: float = Bounded(default=1.0, gt=0, allow_inf_nan=False)
    """Value in the graphs for each 1 of the eager model: scaling factors are folded."""


class Windows(StrictRecord):
    """Division into windows with their surroundings: exact, for convolutions alone."""

    kind: Literal["windows"] = "windows"
    halo: int = Bounded(ge=0, le=_LARGEST)
    """Cells around a part of the result that it depends on."""


class Tiles(StrictRecord):
    """Division into overlapping squares of one size, whose results are blended."""

    kind: Literal["tiles"] = "tiles"
    side: _Count
    """Cells along a tile's side."""
    overlap: int = Bounded(ge=0, le=_LARGEST)
    """Cells that neighbours share at least."""
    whole: bool = False
    """Whether its graphs take any size: what fits in memory is then taken whole, without seams."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.overlap >= self.side:
            raise ValueError(f"expected an overlap below {self.side} cells, found {self.overlap}")
        return self


class Whole(StrictRecord):
    """No division: every place depends on the whole image."""

    kind: Literal["whole"] = "whole"
    most_cells: int = Bounded(ge=1, le=2**40)
    """Largest image, in cells."""


Division = Annotated[Windows | Tiles | Whole, Bounded(discriminator="kind")]
"""Way in which an image is divided among runs of a stage."""


class Stage(StrictRecord):
    """One graph: a tensor goes in, a tensor comes out.

    Its *cells* are those of the coarser of the two: all its sizes are told in them.
    """

    name: StageName
    reads: StageName
    """Name of the field that goes in."""
    gives: StageName
    """Name of the field that comes out."""
    division: Division
    align: _Count = 1
    """Cells that the sides of its input divide by."""
    bytes_per_cell: int = Bounded(ge=1, le=2**40)
    """Bytes of feature maps that a run holds for each cell, in fp32, computed from its layers."""
    bytes_per_pair: int = Bounded(default=0, ge=0, le=2**20)
    """Bytes that a run holds for each two of its cells: scores of attention over all of them."""
    keep_fp32: bool = False
    """Whether it computes in fp32 where others may not: backends that choose types obey it."""
    restores: bool = False
    """Whether it gives what it read, restored: its gate measures the change alone, or a stage
    that does nothing would pass."""
