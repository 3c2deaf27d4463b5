"""What an export was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinysr.errors import UnsupportedError, choices
from tinysr.manifest import Artifact

from .bake import DEFAULT_TILE

__all__ = ["PRECISIONS", "ExportOptions", "Finish", "Progress"]

PRECISIONS = ("fp32",)
"""Precisions that this version exports."""

Progress = Callable[[str], None]
"""Called with a few words when a step begins."""

Finish = Callable[[], tuple[Artifact, ...]]
"""The part of a build that needs the PyTorch model no more; by then its memory is free."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportOptions:
    """Settings that shape every artifact of a bundle."""

    targets: tuple[str, ...] = ("onnx",)
    precision: str = "fp32"
    tile: int = DEFAULT_TILE
    """Side of a tile in low-resolution pixels."""
    batch: int | None = 1
    """Tiles that the transformer and upscale graphs take at once; any number when None."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise choices("precision", self.precision, PRECISIONS)
        if self.batch is not None and self.batch < 1:
            raise UnsupportedError(
                f"expected a batch of at least 1 or 'dynamic', found {self.batch}"
            )
