"""What an export was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tinysr.errors import UnsupportedError, choices
from tinysr.manifest import Artifact

from .bake import DEFAULT_TILE
from .precision import PrecisionPlan

__all__ = ["PRECISIONS", "ExportOptions", "Finish", "Progress"]

PRECISIONS: dict[str, tuple[str, ...]] = {"fp32": ("fp32",), "fp16": ("fp32", "fp16")}
"""What can be asked for, and the precisions that a bundle then holds."""

Progress = Callable[[str], None]
"""Called with a few words when a step begins."""

Finish = Callable[[], tuple[Artifact, ...]]
"""The part of a build that needs the PyTorch model no more; by then its memory is free."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportOptions:
    """Settings that shape every artifact of a bundle."""

    targets: tuple[str, ...] = ("onnx",)
    precision: str = "fp32"
    """One of :data:`PRECISIONS`."""
    plan: PrecisionPlan | None = None
    """Which modules stay wide: needed for fp16, and refused without it."""
    tile: int = DEFAULT_TILE
    """Side of a tile in low-resolution pixels."""
    batch: int | None = 1
    """Tiles that the transformer and upscale graphs take at once; any number when None."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise choices("precision", self.precision, PRECISIONS)
        if self.plan is not None and self.precision == "fp32":
            raise UnsupportedError(
                "a precision plan says what stays out of fp16: expected the precision fp16, "
                "found fp32"
            )
        if self.plan is not None and self.plan.tile != self.tile:
            raise UnsupportedError(
                f"the precision plan was found on tiles of {self.plan.tile}, and the export's are "
                f"{self.tile}: expected the same; make a plan with `tinysr calibrate --tile "
                f"{self.tile}`"
            )
        if self.batch is not None and self.batch < 1:
            raise UnsupportedError(
                f"expected a batch of at least 1 or 'dynamic', found {self.batch}"
            )
