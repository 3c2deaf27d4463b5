"""Families: what their models have in common, where they lie, and what each is called."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tinysr.chain import Chain
from tinysr.errors import UnsupportedError

__all__ = [
    "Family",
    "Layout",
    "OneStepModel",
    "Published",
    "ReadModel",
    "ReadOptions",
    "read_all_layers",
]


class OneStepModel(nn.Module, ABC):
    """An eager model that maps an image to a larger one in one step, stage after stage."""

    @property
    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """The config as plain JSON-ready data; its ``family`` names the family."""

    @property
    def sha256(self) -> str:
        """The hash of all that it computes, where its tensors alone don't tell; or ""."""
        return ""

    @abstractmethod
    def chain(self, tile: int) -> Chain:
        """Return the stages, all fields in the model's own units.

        Args:
            tile: side of a tile in pixels of the image.

        Raises:
            UnsupportedError: no tile of this size fits the model.
        """

    @abstractmethod
    def run_stage(self, stage: str, x: Tensor) -> Tensor:
        """Map what a stage reads ``[N, C, H, W]`` to what it gives."""

    def stage_modules(self, stage: str) -> nn.Module:
        """Return the modules that a stage runs: the submodule of its name, and what it reads."""
        return self.get_submodule(stage)


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadModel:
    """A model as read from a checkpoint."""

    model: OneStepModel
    """Model in eval mode, fp32, no gradients."""
    lora_sha256: str | None = None
    """Hash of the LoRA's file, which is merged; None without one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadOptions:
    """Options of reading a checkpoint; a layout refuses those that it does not offer."""

    layers: tuple[int, ...] | None = None
    """Transformer layers to keep of a full SD3 checkpoint; None for all."""
    trust: bool = False
    """Whether a file may be opened that can run any code."""


def read_all_layers(
    read: Callable[[Path], OneStepModel | ReadModel], what: str
) -> Callable[[Path, ReadOptions], ReadModel]:
    """Return a layout's reader that refuses a choice of layers.

    Args:
        read: returns the model of a path.
        what: name of what is read, for the message.
    """

    def read_whole(path: Path, options: ReadOptions) -> ReadModel:
        if options.layers is not None:
            raise UnsupportedError(f"{path}: layers can't be chosen from {what}")
        found = read(path)
        return found if isinstance(found, ReadModel) else ReadModel(model=found)

    return read_whole


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """A way in which checkpoints of a family lie on disk."""

    name: str
    """Name of the layout, as a manifest has it."""
    sign: str
    """Sign by which the layout is recognised, for messages."""
    matches: Callable[[Path], bool]
    """Tells whether a path has this layout, from names and headers alone. At most one layout of
    all families may say so."""
    read: Callable[[Path, ReadOptions], ReadModel]
    """Reads it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """Figures that a paper gives of a model, for what is counted here to stand beside."""

    parameters: float | None
    """Parameters in millions; None where it gives none."""
    macs: float | None
    """Multiply-accumulates in 10⁹ for 128×128 → 512×512; None where it gives none."""
    source: str
    """Place in the paper."""
    note: str = ""
    """Reason why they can't be what is counted here, if they can't."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Family:
    """A kind of model: its presets, and the layouts of its checkpoints."""

    name: str
    """Name of the family, as configs and manifests have it."""
    licence: str
    """Licence of the weights that its authors release, and of their code where it differs."""
    presets: tuple[str, ...]
    untrained: frozenset[str]
    """Presets without public weights: they load with seeded ones, and say so."""
    load_preset: Callable[[str], OneStepModel]
    """Returns a preset's model in eval mode, fp32, no gradients."""
    make_meta: Callable[[str], OneStepModel]
    """Returns a preset's model that has shapes and no memory."""
    layouts: tuple[Layout, ...]
    published: Mapping[str, Published] = field(default_factory=dict)
    """Figures that papers give, by preset."""
