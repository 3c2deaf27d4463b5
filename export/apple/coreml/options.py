"""Options of a CoreML package."""

from __future__ import annotations

from dataclasses import dataclass

from tinysr.errors import UnsupportedError, choice_error

__all__ = ["LAYOUTS", "OLDEST", "CoreMLOptions"]

LAYOUTS = ("standard", "ane")

OLDEST = "iOS17"
"""The default, and the oldest that packages are made for."""

SMALLEST_TILE = 16
"""Side of the smallest tile, in low-resolution pixels."""

_SAME_AS = {"macOS14": "iOS17", "macOS15": "iOS18", "macOS26": "iOS26"}
"""Systems that read the same format."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CoreMLOptions:
    """Settings of CoreML packages alone."""

    deployment_target: str = OLDEST
    """The oldest system that must read the package, such as iOS17 or macOS15."""
    layout: str = "standard"
    """ane: tokens as ``[N, dim, 1, L]`` and linears as convolutions, as Apple recommends it for the
    Neural Engine."""

    tiles: tuple[int, ...] = ()
    """Sides that ``upscale`` takes beside the bundle's tile, in low-resolution pixels; smaller than
    it, because their positions are the middle of its."""

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise choice_error("layout", self.layout, LAYOUTS)

    @property
    def system(self) -> str:
        """The deployment target as coremltools names it."""
        return _SAME_AS.get(self.deployment_target, self.deployment_target)

    def check_tiles(self, tile: int, multiple: int) -> None:
        """Refuse tiles that a bundle's leaves no room for, or that don't divide.

        Args:
            tile: the bundle's, in low-resolution pixels.
            multiple: that sides divide by.

        Raises:
            UnsupportedError: one is too small, not smaller than the bundle's or no multiple.
        """
        for side in self.tiles:
            if side < SMALLEST_TILE or side % multiple:
                raise UnsupportedError(
                    f"expected tiles for CoreML of {SMALLEST_TILE} pixels or more, in steps of "
                    f"{multiple}, found {side}"
                )
        if large := [side for side in self.tiles if side >= tile]:
            raise UnsupportedError(
                f"expected tiles for CoreML below the bundle's of {tile}, found {large[0]}: "
                f"export with --tile {large[0]} and --coreml-tile {tile}"
            )

    def check_system(self, known: dict[str, int]) -> None:
        """Refuse a deployment target that is unknown or too old.

        Args:
            known: coremltools' names and the version of the format that they stand for.

        Raises:
            UnsupportedError: it is none that packages can be made for.
        """
        oldest = known[OLDEST]
        offered = [name for name, version in known.items() if version >= oldest]
        names = [*offered, *(name for name, same in _SAME_AS.items() if same in offered)]
        if self.deployment_target not in names:
            raise choice_error("deployment target", self.deployment_target, names)
