"""Base class of models that can be exported: a chain of stages, and the modules that they are."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from torch import Tensor, nn

from tinysr.chain import Chain

__all__ = ["OneStepModel"]


class OneStepModel(nn.Module, ABC):
    """An eager model that maps an image to a larger one in one step, stage after stage."""

    @property
    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """The config as plain JSON-ready data; its ``family`` names the family."""

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
