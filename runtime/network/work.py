"""Work: how an image is divided among runs of the stages."""

from __future__ import annotations

from dataclasses import dataclass

from tinysr.stages import Stage, Tiles

from .tiling import Grid
from .windows import WindowLayout

__all__ = ["ImageWork", "StageWork"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StageWork:
    """One stage's runs on one image."""

    stage: Stage
    size: tuple[int, int]
    """Height and width of the image in the stage's cells."""
    layout: WindowLayout | Grid
    """Windows whose results are put side by side, or tiles whose results are blended."""

    def __len__(self) -> int:
        return len(self.layout)

    @property
    def cells(self) -> int:
        """Cells of all runs together, surroundings included."""
        layout = self.layout
        area = layout.tile**2 if isinstance(layout, Grid) else layout.area
        return len(layout) * area

    @property
    def borders(self) -> tuple[set[int], set[int]]:
        """Cells at which a run's part begins or ends, from the top and from the left."""
        if isinstance(self.layout, Grid):
            tile = self.layout.tile
            tops, lefts = zip(*self.layout.corners, strict=True)
            return (
                {y for top in tops for y in (top, top + tile)},
                {x for left in lefts for x in (left, left + tile)},
            )
        return (
            {span.first for span in self.layout.rows},
            {span.first for span in self.layout.columns},
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageWork:
    """One image, divided among runs of all stages, in their order."""

    parts: tuple[StageWork, ...]

    @property
    def steps(self) -> int:
        """Number of steps that a run of the network reports in all."""
        return sum(map(len, self.parts))

    @property
    def undivided(self) -> bool:
        """Whether every stage runs once."""
        return self.steps == len(self.parts)

    @property
    def notes(self) -> tuple[str, ...]:
        """What memory decided: stages that took the image whole, or in tiles that are blended."""
        open_ones = [
            part
            for part in self.parts
            if isinstance(part.stage.division, Tiles) and part.stage.division.whole
        ]
        whole = [part.stage.name for part in open_ones if len(part) == 1]
        tiled = [f"{p.stage.name} in {len(p)} blended tiles" for p in open_ones if len(p) > 1]
        found = [f"{' and '.join(whole)} took it whole"] if whole else []
        if tiled:
            found.append(f"{' and '.join(tiled)}; with more --memory it is taken whole")
        return tuple(found)

    def count(self, kind: str) -> int:
        """Return the most runs that a stage of one kind of division takes."""
        return max((len(p) for p in self.parts if p.stage.division.kind == kind), default=0)
