"""What a CoreML package was asked for."""

from __future__ import annotations

from dataclasses import dataclass

from tinysr.errors import choices

__all__ = ["LAYOUTS", "OLDEST", "CoreMLOptions"]

LAYOUTS = ("standard", "ane")

OLDEST = "iOS17"
"""The default, and the oldest that packages are made for."""

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

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise choices("layout", self.layout, LAYOUTS)

    @property
    def system(self) -> str:
        """The deployment target as coremltools names it."""
        return _SAME_AS.get(self.deployment_target, self.deployment_target)

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
            raise choices("deployment target", self.deployment_target, names)
