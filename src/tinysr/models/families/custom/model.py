"""A network that somebody brings, as a model of one stage."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tinysr.chain import Chain
from tinysr.errors import UnsupportedError, choice_error
from tinysr.models.family import OneStepModel
from tinysr.stages import IMAGE, RESULT, WHOLE, Field, Stage, Tiles, Windows

from .config import CustomConfig
from .network import Network
from .nodes import Node
from .nodes.resize import Resample
from .probe import probe
from .reach import Reach

__all__ = ["DEFAULT_TILE", "FAMILY", "MOST_HALO", "CustomModel", "Shape", "Upscale"]

FAMILY = "custom"

DEFAULT_TILE = 128
"""Pixels of the image along a tile's side, where neither the file nor the user says."""

MOST_HALO = 64
"""Widest surroundings that windows are chosen with: beyond, most of a window would be halo."""

_OVERLAP = 4
"""Part of a tile's side that neighbours share, where the user does not say: one in four."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """Sizes that a network takes."""

    side: int | None
    """The only side of an image that it takes, in pixels; None if it takes any."""
    reach: Reach | None
    """Reach of its result; None if it takes one size alone."""
    single: bool = False
    """Whether it takes one image at a time."""


class Affine(Node):
    """Gains and shifts of red, green and blue."""

    def __init__(self, gains: tuple[float, ...], shifts: tuple[float, ...]) -> None:
        super().__init__()
        self.register_buffer("gains", torch.tensor(gains).reshape(1, -1, 1, 1))
        self.register_buffer("shifts", torch.tensor(shifts).reshape(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` to the same shape."""
        gains, shifts = self.get_buffer("gains"), self.get_buffer("shifts")
        return self.cast_input(x) * self.cast_input(gains) + self.cast_input(shifts)


class Upscale(nn.Module):
    """The stage: the image to the network's levels, the network, and back."""

    def __init__(self, config: CustomConfig, network: Network, *, single: bool = False) -> None:
        super().__init__()
        self.single = single
        self.resize: nn.Module = nn.Identity()
        if config.resize == "bicubic" and config.scale > 1:
            bicubic = Resample("bicubic", corners=False)
            bicubic.scales = (float(config.scale), float(config.scale))
            self.resize = bicubic
        (gains, shifts), (back, ends) = (levels.affine() for levels in config.levels)
        self.enter = _make_affine(gains, shifts)
        self.network = network
        self.leave = _make_affine(
            tuple(1 / gain for gain in back),
            tuple(-end / gain for end, gain in zip(ends, back, strict=True)),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` in [0, 1] to ``[N, 3, sH, sW]``, about [0, 1], unclamped."""
        if self.single and image.shape[0] != 1:
            return torch.cat([self(one) for one in image.split(1)])
        y: Tensor = self.leave(self.network(self.enter(self.resize(image))))
        return y


def _make_affine(gains: tuple[float, ...], shifts: tuple[float, ...]) -> nn.Module:
    if set(gains) == {1.0} and not any(shifts):
        return nn.Identity()
    return Affine(gains, shifts)


class CustomModel(OneStepModel):
    """A one-step network of any kind: its only stage is called as the whole is."""

    def __init__(
        self, config: CustomConfig, network: Network, shape: Shape, sha256: str = ""
    ) -> None:
        super().__init__()
        self.config, self.shape, self._sha256 = config, shape, sha256
        self.upscale = Upscale(config, network, single=shape.single)

    def forward(self, image: Tensor) -> Tensor:
        """Map ``[N, 3, H, W]`` in [0, 1] to ``[N, 3, sH, sW]``, about [0, 1], unclamped."""
        y: Tensor = self.upscale(image)
        return y

    @property
    def facts(self) -> dict[str, Any]:
        """The config as plain JSON-ready data."""
        return {"family": FAMILY, **self.config.model_dump(mode="json")}

    @property
    def sha256(self) -> str:
        """The hash of the network's graph, weights and config."""
        return self._sha256

    def run_stage(self, stage: str, x: Tensor) -> Tensor:
        """Map an image ``[N, 3, H, W]`` to its result; there is one stage."""
        if stage != WHOLE:
            raise choice_error("stage", stage, (WHOLE,))
        y: Tensor = self(x)
        return y

    @property
    def align(self) -> int:
        """Pixels that the sides of an image divide by."""
        reach = self.shape.reach
        return math.lcm(self.config.multiple_of, reach.multiple if reach else 1)

    def chain(self, tile: int | None = None) -> Chain:
        """Return the model as a chain of one stage.

        Args:
            tile: pixels of the image along a tile's side; a default if None.

        Raises:
            UnsupportedError: it can't be divided as its TOML or ``tile`` says.
        """
        scale = self.config.scale
        side = self._choose_side(tile)
        division = self._divide(side)
        stage = Stage(
            name=WHOLE,
            reads=IMAGE,
            gives=RESULT,
            division=division,
            align=self.align,
            bytes_per_cell=self._count_bytes(side),
            restores=scale == 1,
        )
        ends: dict[str, Any] = {"channels": 3}
        fields = (
            Field(name=IMAGE, pixels_per_cell=scale, **ends),
            Field(name=RESULT, pixels_per_cell=1, **ends),
        )
        return Chain(scale=scale, fields=fields, stages=(stage,))

    def _choose_side(self, tile: int | None) -> int:
        """Return the pixels of the image along a tile's side."""
        fixed, said = self.shape.side, self.config.side
        for source, value in (("side", said), ("tile", tile)):
            if fixed is not None and value not in (None, fixed):
                raise UnsupportedError(
                    f"{self.config.name} takes images of {fixed} × {fixed} pixels alone, found "
                    f"{source} {value}: leave it out, or export the network for any size"
                )
        default = -(-DEFAULT_TILE // self.align) * self.align
        side = fixed or tile or said or default
        if side % self.align:
            raise UnsupportedError(
                f"{self.config.name}: expected a tile that divides by {self.align} pixels, found "
                f"{side}"
            )
        return side

    def _divide(self, side: int) -> Windows | Tiles:
        config, reach = self.config, self.shape.reach
        if reach is None:
            if config.division == "windows":
                raise UnsupportedError(
                    f'{config.name} takes images of one size alone: set division = "tiles", or '
                    "export the network for any size"
                )
            return self._make_tiles(side)
        halo = reach.halo if config.halo is None else config.halo
        if config.division == "windows":
            if halo is None:
                raise UnsupportedError(
                    f"{config.name}: its result depends on the whole image, at {reach.why}: set "
                    'division = "tiles"'
                )
            return Windows(halo=halo)
        if config.division is None and halo is not None and halo <= MOST_HALO:
            return Windows(halo=halo)
        return self._make_tiles(side)

    def _make_tiles(self, side: int) -> Tiles:
        overlap = self.config.overlap
        if overlap is None:
            overlap = side // _OVERLAP // self.align * self.align
        if overlap % self.align or overlap >= side:
            raise UnsupportedError(
                f"{self.config.name}: expected an overlap below {side} that divides by "
                f"{self.align} pixels, found {overlap}"
            )
        return Tiles(side=side, overlap=overlap)

    def _count_bytes(self, side: int) -> int:
        """Return the bytes of feature maps for each pixel of the image, at a tile's size."""
        enlarged = self.config.scale if self.config.resize == "bicubic" else 1
        most = probe(self.upscale.network, side * enlarged, side * enlarged).most_bytes
        return max(1, -(-most // side**2))
