"""Division: the runs that one stage takes for an image of a size, whatever its kind."""

from __future__ import annotations

from dataclasses import dataclass

from tinysr.chain import Chain
from tinysr.errors import ImageError
from tinysr.stages import Stage, Tiles, Whole

from .tiling import Grid, lay_grid
from .windows import WindowLayout, lay_out, lay_out_fixed, lay_out_squares
from .work import StageWork

__all__ = ["Limits", "divide", "estimate_bytes"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Sizes that a stage's runs may have, in its cells."""

    sides: tuple[int, ...] = ()
    """Sides of squares, where its graph takes nothing else."""
    longest: int | None = None
    """Longest side that its graph takes; None if there is no limit."""
    window: int | None = None
    """Side that was asked for."""
    whole: bool = True
    """Whether a stage of tiles may take an image whole, where its division says so."""


def divide(
    chain: Chain, stage: Stage, width: int, height: int, *, limits: Limits, room: int
) -> StageWork:
    """Divide an image among runs of a stage.

    Args:
        chain: that the stage is of.
        stage: of any kind of division.
        width: of the image in its pixels, a multiple of the chain's.
        height: likewise.
        limits: of its windows.
        room: bytes that a run may take.

    Raises:
        ImageError: the stage takes images only as a whole, and not of this size.
    """
    rows, columns = (side * chain.scale // chain.cell(stage) for side in (height, width))
    if isinstance(stage.division, Whole):
        _check_whole(chain, stage, stage.division, (rows, columns), limits)
    layout = _lay(stage, rows, columns, limits, room)
    return StageWork(stage=stage, size=(rows, columns), layout=layout)


def _check_whole(
    chain: Chain, stage: Stage, division: Whole, size: tuple[int, int], limits: Limits
) -> None:
    """Refuse an image that a stage does not take as a whole.

    Raises:
        ImageError: it is too large, or no square that the graph takes.
    """
    height, width = (chain.pixels(stage, side) for side in size)
    found = f"the stage {stage.name} takes images as a whole, found {width}×{height} pixels: "
    if size[0] * size[1] > division.most_cells:
        most = chain.pixels(stage, chain.pixels(stage, division.most_cells))
        raise ImageError(f"{found}use an image of at most {most} pixels, {width * height} are here")
    if limits.longest is not None and max(size) > limits.longest:
        longest = chain.pixels(stage, limits.longest)
        raise ImageError(f"{found}use an image whose sides are at most {longest} pixels")
    if limits.sides and not (size[0] == size[1] and size[0] in limits.sides):
        sides = ", ".join(str(chain.pixels(stage, side)) for side in limits.sides)
        raise ImageError(f"{found}use another format, as this one takes squares of {sides} alone")


def estimate_bytes(stage: Stage, cells: int) -> int:
    """Return the bytes that a run of a stage holds for so many cells."""
    return cells * stage.bytes_per_cell + cells**2 * stage.bytes_per_pair


def _fits_whole(stage: Stage, height: int, width: int, longest: int | None, room: int) -> bool:
    if longest is not None and max(height, width) > longest:
        return False
    return estimate_bytes(stage, height * width) <= room


def _lay(stage: Stage, height: int, width: int, limits: Limits, room: int) -> WindowLayout | Grid:
    kind = stage.division
    if isinstance(kind, Tiles):
        if limits.whole and kind.whole and _fits_whole(stage, height, width, limits.longest, room):
            return lay_out_squares(height, width, halo=0, side=max(height, width))
        return lay_grid(height, width, kind.side, kind.overlap)
    if isinstance(kind, Whole):
        return lay_out_squares(height, width, halo=0, side=max(height, width))
    # In blocks of the cells that all sides divide by.
    block = stage.align
    height, width, halo = height // block, width // block, -(-kind.halo // block)
    if limits.sides:
        sides = [side // block for side in limits.sides]
        return lay_out_fixed(height, width, halo=halo, sides=sides).enlarge(block)
    if limits.window is not None:
        window = limits.window // block
        return lay_out_squares(height, width, halo=halo, side=window).enlarge(block)
    area = room // (stage.bytes_per_cell * block**2)
    layout = lay_out(height, width, halo=halo, area=area)
    if limits.longest is not None and layout.longest * block > limits.longest:
        layout = lay_out_squares(height, width, halo=halo, side=limits.longest // block)
    return layout.enlarge(block)
