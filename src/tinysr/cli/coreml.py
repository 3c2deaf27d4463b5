"""The options of `tinysr export -t coreml`, in a panel of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from .numbers import SIDE, number_option

__all__ = ["DeploymentTarget", "Layout", "Tiles", "coreml_settings"]

TARGET = "coreml"

_PANEL = "CoreML"

DeploymentTarget = Annotated[
    str | None,
    typer.Option(
        "--minimum-deployment-target",
        help="The oldest system that must read the package, such as iOS18 or macOS15.  "
        "[default: iOS17]",
        rich_help_panel=_PANEL,
    ),
]

Layout = Annotated[
    str | None,
    typer.Option(
        "--layout",
        help="Layout of tokens: standard, or ane, as Apple advises for the Neural Engine.  "
        "[default: standard]",
        rich_help_panel=_PANEL,
    ),
]


Tiles = Annotated[
    list[int] | None,
    number_option(
        "--coreml-tile",
        kind=SIDE,
        text="A side that 'upscale' takes beside --tile, smaller than it; repeat for several.",
        rich_help_panel=_PANEL,
    ),
]


def coreml_settings(given: Mapping[str, Any], targets: Iterable[str]) -> dict[str, object]:
    """Return the settings of the target, from what was given; empty without packages.

    Args:
        given: fields of CoreMLOptions, or None.
        targets: what is exported.

    Raises:
        UnsupportedError: something that was given is unknown.
    """
    from tinysr.export.apple.coreml.options import CoreMLOptions

    if TARGET not in targets:
        return {}
    words = {name: value for name, value in given.items() if value}
    return {TARGET: CoreMLOptions(**words | {"tiles": tuple(words.get("tiles", ()))})}
