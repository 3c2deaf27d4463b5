"""Stable Diffusion's UNet with diffusers' ``UNet2DConditionModel`` key names.

Time and text are optional: a family that has one fixed time and one fixed text gives the same
ones at every call, and one that was distilled to work without them has no modules for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.models.layers.resnet import Double, Groups, Halve, Resnet, group_norm
from tinysr.models.layers.spatial_transformer import SpatialTransformer
from tinysr.models.layers.tokens import time_embedding

__all__ = ["TimeEmbedding", "Unet2d", "UnetConfig"]

_EPS = 1e-5
"""Epsilon of every GroupNorm outside the transformers."""

_EMBEDDING = 4
"""Channels of the time's embedding over those of the first level."""


@dataclass(frozen=True, kw_only=True, slots=True)
class UnetConfig:
    """Configuration of the UNet; the defaults are Stable Diffusion 2.1's."""

    inputs: int = 4
    outputs: int = 4
    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    """Channels of each level, from the largest to the smallest in pixels."""
    heads: tuple[int, ...] = (5, 10, 20, 20)
    """Heads of each level's transformers; the middle has those of the last."""
    attended: tuple[bool, ...] = (True, True, True, False)
    """Whether a level has transformers; the middle has one in any case."""
    blocks: int = 2
    """Residual blocks of each level on the way down; on the way up there is one more."""
    down: tuple[tuple[bool, ...], ...] | None = None
    """Levels, and in each its residual blocks on the way down: true where a transformer follows.
    None for what ``blocks`` and ``attended`` say."""
    up: tuple[tuple[bool, ...], ...] | None = None
    """Likewise on the way up, where each level has one block more than on the way down."""
    middle: int = 1
    """Transformers of the middle, each between two residual blocks."""
    groups: Groups = (32,)
    """Groups of every GroupNorm: the first number that divides its channels."""
    time: bool = True
    """Whether it is told a time."""
    text: int | None = 1024
    """Channels of a text's tokens; None for a UNet that reads no text."""

    @property
    def embedding(self) -> int | None:
        """Channels of the time's embedding."""
        return _EMBEDDING * self.widths[0] if self.time else None

    @property
    def way_down(self) -> tuple[tuple[bool, ...], ...]:
        """For each level and block on the way down, whether a transformer follows it."""
        return self.down or tuple((one,) * self.blocks for one in self.attended)

    @property
    def way_up(self) -> tuple[tuple[bool, ...], ...]:
        """For each level and block on the way up, whether a transformer follows it."""
        return self.up or tuple((one,) * (self.blocks + 1) for one in self.attended)


class TimeEmbedding(nn.Module):
    """The sines and cosines of a time, then linear, SiLU, linear."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.inputs = inputs
        self.linear_1 = nn.Linear(inputs, outputs)
        self.linear_2 = nn.Linear(outputs, outputs)

    def forward(self, time: Tensor) -> Tensor:
        """Map times ``[N]`` to ``[N, outputs]``."""
        waves = time_embedding(time, self.inputs).to(self.linear_1.weight.dtype)
        y: Tensor = self.linear_2(F.silu(self.linear_1(waves)))
        return y


class Level(nn.Module):
    """Residual blocks at one size, each with a transformer behind it or not."""

    def __init__(
        self, config: UnetConfig, number: int, inputs: list[int], attended: tuple[bool, ...]
    ) -> None:
        """Make the blocks.

        Args:
            config: of the whole network.
            number: of the level, whose width the blocks give.
            inputs: channels that each block reads.
            attended: whether a transformer follows each.
        """
        super().__init__()
        width = config.widths[number]
        self.resnets = nn.ModuleList(
            Resnet(before, width, config.groups, eps=_EPS, time=config.embedding)
            for before in inputs
        )
        self.attentions = nn.ModuleList(
            SpatialTransformer(width, config.heads[number], config.groups, config.text)
            if follows
            else nn.Identity()
            for follows in attended
        )

    def run_block(self, index: int, x: Tensor, time: Tensor | None, text: Tensor | None) -> Tensor:
        """Return what a block and its transformer make of ``[N, inputs, H, W]``."""
        x = self.resnets[index](x, time)
        attention = self.attentions[index]
        if not isinstance(attention, nn.Identity):
            x = attention(x, text)
        return x


class DownLevel(Level):
    """A level on the way down, which ends in half the size unless it is the last."""

    def __init__(self, config: UnetConfig, number: int) -> None:
        width = config.widths[number]
        first = config.widths[max(0, number - 1)]
        attended = config.way_down[number]
        super().__init__(config, number, [first, *[width] * (len(attended) - 1)], attended)
        self.downsamplers = nn.ModuleList()
        if number < len(config.widths) - 1:
            self.downsamplers.append(Halve(width, symmetric=True))

    def forward(self, x: Tensor, time: Tensor | None, text: Tensor | None) -> list[Tensor]:
        """Map ``[N, inputs, H, W]`` to what each block gives, and the halved one."""
        given = []
        for index in range(len(self.resnets)):
            x = self.run_block(index, x, time, text)
            given.append(x)
        return given + [halve(x) for halve in self.downsamplers]


class MiddleLevel(nn.Module):
    """Residual blocks with transformers between them, at the smallest size."""

    def __init__(self, config: UnetConfig) -> None:
        super().__init__()
        width = config.widths[-1]
        self.resnets = nn.ModuleList(
            Resnet(width, width, config.groups, eps=_EPS, time=config.embedding)
            for _ in range(config.middle + 1)
        )
        self.attentions = nn.ModuleList(
            SpatialTransformer(width, config.heads[-1], config.groups, config.text)
            for _ in range(config.middle)
        )

    def forward(self, x: Tensor, time: Tensor | None, text: Tensor | None) -> Tensor:
        """Map ``[N, width, h, w]`` to the same shape."""
        x = self.resnets[0](x, time)
        for attention, resnet in zip(self.attentions, self.resnets[1:], strict=True):
            x = resnet(attention(x, text), time)
        return x


class UpLevel(Level):
    """A level on the way up, which reads what its equal gave on the way down."""

    def __init__(self, config: UnetConfig, number: int) -> None:
        widths = config.widths
        width = widths[number]
        before = widths[min(number + 1, len(widths) - 1)]
        # The last thing to be read is what came down to this level.
        attended = config.way_up[number]
        skips = [*[width] * (len(attended) - 1), widths[max(0, number - 1)]]
        reads = [before, *[width] * (len(attended) - 1)]
        inputs = [x + skip for x, skip in zip(reads, skips, strict=True)]
        super().__init__(config, number, inputs, attended)
        self.upsamplers = nn.ModuleList([Double(width)] if number else [])

    def forward(
        self, x: Tensor, skips: list[Tensor], time: Tensor | None, text: Tensor | None
    ) -> Tensor:
        """Map ``[N, inputs, H, W]`` and a tensor for each block to ``[N, width, 2H, 2W]``."""
        for index, skip in enumerate(skips):
            x = self.run_block(index, torch.cat([x, skip], dim=1), time, text)
        for double in self.upsamplers:
            x = double(x)
        return x


class Unet2d(nn.Module):
    """Down, middle and up, each level reading on its way up what it gave on its way down."""

    def __init__(self, config: UnetConfig) -> None:
        super().__init__()
        widths, levels = config.widths, range(len(config.widths))
        self.conv_in = nn.Conv2d(config.inputs, widths[0], 3, padding=1)
        embedding = config.embedding
        self.time_embedding = None if embedding is None else TimeEmbedding(widths[0], embedding)
        self.down_blocks = nn.ModuleList(DownLevel(config, number) for number in levels)
        self.mid_block = MiddleLevel(config)
        self.up_blocks = nn.ModuleList(UpLevel(config, number) for number in reversed(levels))
        self.conv_norm_out = group_norm(config.groups, widths[0], _EPS)
        self.conv_out = nn.Conv2d(widths[0], config.outputs, 3, padding=1)
        self.reads_text = config.text is not None

    def forward(self, x: Tensor, time: Tensor | None = None, text: Tensor | None = None) -> Tensor:
        """Map an image ``[N, inputs, H, W]`` to ``[N, outputs, H, W]``.

        Args:
            x: its sides divide by 2 for each level but the last.
            time: ``[N]``, for a network that is told a time.
            text: tokens ``[N, T, text]``, for a network that reads them.

        Raises:
            ValueError: the time or the text is missing, or is one too many.
        """
        for name, value, wanted in (
            ("time", time, self.time_embedding is not None),
            ("text", text, self.reads_text),
        ):
            if (value is not None) != wanted:
                raise ValueError(f"expected {'a' if wanted else 'no'} {name} for this UNet")
        if self.time_embedding is not None:
            time = self.time_embedding(time)
        x = self.conv_in(x)
        skips = [x]
        for down in self.down_blocks:
            skips += down(x, time, text)
            x = skips[-1]
        x = self.mid_block(x, time, text)
        for up in cast("list[UpLevel]", list(self.up_blocks)):
            x = up(x, [skips.pop() for _ in up.resnets], time, text)
        y: Tensor = self.conv_out(F.silu(self.conv_norm_out(x)))
        return y
