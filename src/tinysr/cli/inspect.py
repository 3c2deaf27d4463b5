"""`tinysr inspect`: what a model costs, or what a bundle holds and whether it is intact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tinysr.terminal import Output

from .modes import refuse_without_effect

__all__ = ["inspect"]


def inspect(
    context: typer.Context,
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|BUNDLE",
            help="A preset, a checkpoint's folder or .safetensors file, or a bundle's folder.",
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    steps: Annotated[
        bool, typer.Option("--steps", help="A model's costs after each step of the recipe.")
    ] = False,
) -> None:
    """Show a model's parameters and multiply-accumulates, or a bundle's artifacts and verdicts.

    Exits 2 when a bundle's file is missing or changed, after naming it.
    """
    from tinysr import paths
    from tinysr.errors import UnsupportedError
    from tinysr.manifest import MANIFEST_NAME

    is_bundle = paths.is_file(Path(target) / MANIFEST_NAME, UnsupportedError)
    if is_bundle:
        refuse_without_effect(context, "a bundle's inspection")
    if steps:
        _inspect_steps(target, as_json=as_json)
    elif is_bundle:
        _inspect_bundle(Path(target), as_json=as_json)
    else:
        _inspect_model(target, as_json=as_json)


def _inspect_model(target: str, *, as_json: bool) -> None:
    from . import inspect_model

    report = inspect_model.model_report(target)
    if as_json:
        Output().json(report)
    else:
        inspect_model.print_model(report)


def _inspect_steps(target: str, *, as_json: bool) -> None:
    from . import inspect_steps

    report = inspect_steps.steps_report(target)
    if as_json:
        Output().json(report)
    else:
        inspect_steps.print_steps(report)


def _inspect_bundle(folder: Path, *, as_json: bool) -> None:
    from tinysr.errors import BundleError

    from . import inspect_bundle

    report = inspect_bundle.bundle_report(folder)
    if as_json:
        Output().json(report)
    else:
        inspect_bundle.print_bundle(report)
    if damaged := inspect_bundle.find_damaged_files(report):
        raise BundleError(f"{folder}: damaged: {', '.join(damaged)}; export the bundle again")
