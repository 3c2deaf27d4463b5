"""`tinysr residency`: which operations of a CoreML package the Neural Engine takes."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tinysr.terminal import Output

if TYPE_CHECKING:
    from tinysr.runtime.bundle import Bundle
    from tinysr.runtime.mil import Residency

__all__ = ["residency"]


def residency(
    bundle: Annotated[Path, typer.Argument(help="The bundle's folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, every operation.")] = False,
) -> None:
    """Say which operations of a bundle's CoreML packages the Neural Engine takes.

    On a Mac this is Core ML's own plan. Elsewhere it is an estimate by published rules.
    """
    from tinysr.errors import BundleError
    from tinysr.runtime.bundle import Bundle

    found = {str(path): _measure(path) for path in _packages(Bundle(bundle))}
    if not found:
        raise BundleError(
            f"{bundle}: expected a CoreML package, found none: make one with "
            "`tinysr export -t coreml`"
        )
    if as_json:
        report = {
            path: [asdict(one) | {"share": one.share} for one in several]
            for path, several in found.items()
        }
        Output().json(report)
        return
    for path, several in found.items():
        _print(path, several)


def _packages(bundle: Bundle) -> list[Path]:
    """Return the bundle's packages, once their hashes were checked."""
    files = [bundle.path(artifact) for artifact in bundle.artifacts("coreml")]
    return list(dict.fromkeys(p for f in files for p in f.parents if p.suffix == ".mlpackage"))


def _measure(package: Path) -> list[Residency]:
    if sys.platform == "darwin":
        from tinysr.runtime.mil.compute_plan import planned_residency

        return planned_residency(package)
    from tinysr.runtime.mil import estimate_residency, load_program

    return [estimate_residency(function) for function in load_program(package).functions.values()]


def _print(path: str, found: list[Residency]) -> None:
    output = Output()
    output.line(f"{path} ({found[0].label})")
    for one in found:
        stay = one.operations - len(one.leaving)
        output.line(f"  {one.function}: {stay} of {one.operations} operations may stay")
        reasons = Counter((finding.kind, finding.reason) for finding in one.leaving)
        for (kind, reason), count in reasons.most_common():
            output.line(f"    {count} × {kind}: {reason}")
