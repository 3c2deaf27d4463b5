"""A model as a chain of stages.

This is data alone: a bundle's manifest carries it, and everybody who runs, measures or builds a
model goes over its stages. What a stage is made of, only its family knows.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Self

from pydantic import Field as Bounded
from pydantic import model_validator

from tinysr.records import StrictRecord
from tinysr.stages import IMAGE, RESULT, WHOLE, Field, Stage, Tiles

__all__ = ["Chain"]

_COLOURS = 3


class Chain(StrictRecord):
    """All stages of a model, in the order in which they run."""

    scale: int = Bounded(ge=1, le=16)
    """Sides of the result over those of the image."""
    fields: tuple[Field, ...]
    stages: tuple[Stage, ...] = Bounded(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> Self:
        for kind, names in (
            ("field", [field.name for field in self.fields]),
            ("stage", [stage.name for stage in self.stages]),
        ):
            if len(set(names)) != len(names):
                raise ValueError(f"expected {kind}s with different names, found {names}")
        self._check_order()
        self._check_ends()
        for stage in self.stages:
            self._check_stage(stage)
        return self

    def field(self, name: str) -> Field:
        """Return a field by its name.

        Raises:
            ValueError: there is none.
        """
        for field in self.fields:
            if field.name == name:
                return field
        names = ", ".join(field.name for field in self.fields)
        raise ValueError(f"no field '{name}': expected one of {names}")

    def stage(self, name: str) -> Stage:
        """Return a stage by its name.

        Raises:
            ValueError: there is none.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise ValueError(f"no stage '{name}': expected one of {', '.join(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The stages' names, in their order."""
        return tuple(stage.name for stage in self.stages)

    @property
    def graphs(self) -> tuple[str, ...]:
        """The names of all graphs: one for each stage, and one for the whole."""
        return self.names if WHOLE in self.names else (*self.names, WHOLE)

    @property
    def multiple(self) -> int:
        """Pixels that the sides of an image divide by."""
        pixels = (stage.align * self.cell(stage) for stage in self.stages)
        return math.lcm(self.scale, *pixels) // self.scale

    @property
    def least(self) -> int:
        """Pixels along the shorter side of the smallest image: the largest tile of a stage."""
        tiles = (
            stage.division.side * self.cell(stage)
            for stage in self.stages
            if isinstance(stage.division, Tiles)
        )
        return max((self.multiple, *(side // self.scale for side in tiles)))

    def cell(self, stage: Stage) -> int:
        """Return the pixels of the result along the side of a stage's cell."""
        return max(self.field(name).pixels_per_cell for name in (stage.reads, stage.gives))

    def pixels(self, stage: Stage, cells: int) -> int:
        """Return pixels of the image for cells of a stage."""
        return cells * self.cell(stage) // self.scale

    def ends(self, graph: str) -> tuple[Field, Field]:
        """Return what a graph reads and gives: a stage's, or the whole's.

        Raises:
            ValueError: there is no such graph.
        """
        if graph == WHOLE:
            return self.fields[0], self.fields[-1]
        stage = self.stage(graph)
        return self.field(stage.reads), self.field(stage.gives)

    def sides(self, graph: str, tile: int) -> tuple[int, int]:
        """Return the sides of what a graph reads and gives for one tile.

        Args:
            graph: a stage's name, or the whole's.
            tile: side of a tile in pixels of the image; a stage of tiles has its own.
        """
        pixels = tile * self.scale
        if graph in self.names:
            stage = self.stage(graph)
            if isinstance(stage.division, Tiles):
                pixels = stage.division.side * self.cell(stage)
        reads, gives = self.ends(graph)
        return pixels // reads.pixels_per_cell, pixels // gives.pixels_per_cell

    def is_fixed(self, graph: str) -> bool:
        """Return whether a graph takes one size alone: the whole, and most stages of tiles."""
        if graph not in self.names:
            return True
        division = self.stage(graph).division
        return isinstance(division, Tiles) and not division.whole

    def is_tiled(self, graph: str) -> bool:
        """Return whether a graph is run on tiles: the whole, and stages of tiles."""
        return graph not in self.names or isinstance(self.stage(graph).division, Tiles)

    @property
    def may_be_whole(self) -> bool:
        """Whether a stage of tiles takes an image whole where the memory allows."""
        return any(isinstance(s.division, Tiles) and s.division.whole for s in self.stages)

    def with_units(self, units: Mapping[str, float]) -> Chain:
        """Return the chain of graphs that carry fields in other units, by their names."""
        fields = (
            field.model_copy(update={"unit": units.get(field.name, field.unit)})
            for field in self.fields
        )
        return Chain(scale=self.scale, fields=tuple(fields), stages=self.stages)

    def _check_order(self) -> None:
        names = [field.name for field in self.fields]
        expected = list(pairwise(names))
        found = [(stage.reads, stage.gives) for stage in self.stages]
        if found != expected:
            raise ValueError(
                f"expected stages that lead through {' → '.join(names)} one by one, found "
                + ", ".join(f"{reads} → {gives}" for reads, gives in found)
            )

    def _check_ends(self) -> None:
        ends = ((self.fields[0], IMAGE, self.scale), (self.fields[-1], RESULT, 1))
        for field, name, side in ends:
            found = (field.name, field.channels, field.pixels_per_cell, field.unit)
            if found != (name, _COLOURS, side, 1.0):
                raise ValueError(
                    f"expected '{name}' of {_COLOURS} channels, {side} pixels per cell and unit 1 "
                    f"at an end of the chain, found {found}"
                )

    def _check_stage(self, stage: Stage) -> None:
        sides = sorted(self.field(name).pixels_per_cell for name in (stage.reads, stage.gives))
        if sides[1] % sides[0] or sides[1] % self.scale:
            raise ValueError(
                f"stage {stage.name}: expected cells that divide each other and the image's "
                f"pixels, found sides of {sides[0]} and {sides[1]} at scale {self.scale}"
            )
        tiles = stage.division
        if isinstance(tiles, Tiles) and (tiles.side % stage.align or tiles.overlap % stage.align):
            raise ValueError(
                f"stage {stage.name}: expected tiles and overlaps that divide by {stage.align} "
                f"cells, found {tiles.side} and {tiles.overlap}"
            )
        ends = [self.field(name) for name in (stage.reads, stage.gives)]
        shapes = [(end.channels, end.pixels_per_cell, end.unit) for end in ends]
        if stage.restores and shapes[0] != shapes[1]:
            raise ValueError(
                f"stage {stage.name}: expected what restores to give what it reads, in channels, "
                f"cells and unit, found {shapes[0]} and {shapes[1]}"
            )
