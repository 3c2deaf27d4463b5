"""`tinysr doctor`: what works on this machine and, for the rest, the one thing missing."""

from __future__ import annotations

import json
import platform
import re
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tinysr.versions import installed

if TYPE_CHECKING:
    from tinysr.runtime import Backend

__all__ = ["doctor"]

BASE_PACKAGES = ("numpy", "onnxruntime", "pillow", "pydantic", "rich", "typer")


@dataclass(frozen=True, kw_only=True, slots=True)
class BackendRow:
    """Whether one backend works, on one of its providers."""

    name: str
    provider: str
    """Empty if the backend has no choice of them."""
    ready: bool
    detail: str
    remedy: str
    """The one thing to do; empty if it works."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExtraRow:
    """Whether one extra's packages are all here."""

    name: str
    ready: bool
    versions: dict[str, str]
    missing: tuple[str, ...]


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what works on this machine."""
    backends, extras = backend_rows(), extra_rows()
    if as_json:
        typer.echo(json.dumps(_report(backends, extras), indent=2))
    else:
        _print(backends, extras)


def backend_rows() -> list[BackendRow]:
    """Ask every backend, on each of its providers, whether it works."""
    from tinysr.runtime import BACKENDS, RunOptions

    return [
        _backend_row(kind(RunOptions(provider=provider)))
        for kind in BACKENDS
        for provider in kind.providers or (None,)
    ]


def _backend_row(backend: Backend) -> BackendRow:
    found = backend.availability()
    return BackendRow(
        name=backend.name,
        provider=backend.provider,
        ready=found.ready,
        detail=found.detail,
        remedy="" if found.ready else found.remedy,
    )


def extra_rows() -> list[ExtraRow]:
    """Check the packages of every extra that the installed tinysr declares, but for `dev`."""
    rows = []
    for name, wanted in _extras().items():
        versions = installed(wanted)
        missing = tuple(package for package in wanted if package not in versions)
        rows.append(ExtraRow(name=name, ready=not missing, versions=versions, missing=missing))
    return rows


_REQUIREMENT = re.compile(
    r"""(?P<package>[\w.-]+) (?:\[(?P<extras>[^]]+)\])? (?:.* extra\ ==\ "(?P<of>\w+)")?""",
    re.VERBOSE,
)


def _extras() -> dict[str, list[str]]:
    """Return each extra's packages, those of the extras that it includes first."""
    direct: dict[str, list[str]] = {}
    for line in metadata.requires("tinysr") or []:
        found = _REQUIREMENT.match(line)
        if found is None or found["of"] in (None, "dev"):
            continue
        packages = direct.setdefault(found["of"], [])
        if found["package"] == "tinysr":  # one extra includes others, declared before it
            packages += [p for extra in found["extras"].split(",") for p in direct.get(extra, [])]
        else:
            packages.append(found["package"])
    return direct


def _report(backends: list[BackendRow], extras: list[ExtraRow]) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "system": platform.platform(),
        "packages": installed(("tinysr", *BASE_PACKAGES)),
        "backends": [asdict(row) for row in backends],
        "extras": [asdict(row) for row in extras],
    }


def _print(backends: list[BackendRow], extras: list[ExtraRow]) -> None:
    from rich.console import Console
    from rich.table import Column, Table
    from rich.text import Text

    table = Table("backend", "works", "what is here", "what is missing")
    for row in backends:
        name = f"{row.name} ({row.provider})" if row.provider else row.name
        table.add_row(name, _mark(row.ready), Text(row.detail), Text(row.remedy))
    other = Table("extra", "installed", "packages", Column("what is missing", no_wrap=True))
    for extra in extras:
        have = ", ".join(f"{name} {version}" for name, version in extra.versions.items())
        remedy = "" if extra.ready else f"pip install 'tinysr[{extra.name}]'"
        other.add_row(extra.name, _mark(extra.ready), Text(have), Text(remedy))
    console = Console(highlight=False)
    versions = installed(("tinysr", *BASE_PACKAGES))
    packages = ", ".join(f"{name} {version}" for name, version in versions.items())
    console.print(f"Python {platform.python_version()} on {platform.platform()}", markup=False)
    console.print(packages, markup=False)
    console.print(table, other)


def _mark(ready: bool) -> str:
    return "[green]yes[/]" if ready else "[yellow]no[/]"
