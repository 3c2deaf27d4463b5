"""The options of `tinysr export -t coreml`, in a panel of their own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import typer

__all__ = ["DeploymentTarget", "Layout", "coreml_settings"]

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
        help="Of tokens: standard, or ane, as Apple advises for the Neural Engine.  "
        "[default: standard]",
        rich_help_panel=_PANEL,
    ),
]


def coreml_settings(
    system: str | None, layout: str | None, targets: Iterable[str]
) -> dict[str, object]:
    """Return the settings of the target, from what was given.

    Raises:
        UnsupportedError: something was given, and no package is asked for; or it is unknown.
    """
    from tinysr.errors import UnsupportedError
    from tinysr.export.coreml.options import CoreMLOptions

    given = {"deployment_target": system, "layout": layout}
    words = {name: value for name, value in given.items() if value is not None}
    if TARGET in targets:
        return {TARGET: CoreMLOptions(**words)}
    if words:
        name = next(iter(words)).replace("_", " ")
        raise UnsupportedError(f"'{name}' is an option of CoreML packages: add -t {TARGET}")
    return {}
