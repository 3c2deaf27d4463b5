"""`tinysr doctor`: what works on this machine and, for the rest, the one thing missing."""

from __future__ import annotations

import platform
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from tinysr.terminal import Column, Output, Part, Table, style_text
from tinysr.versions import find_versions

if TYPE_CHECKING:
    from tinysr.runtime import Backend

__all__ = ["doctor"]

T = TypeVar("T")

FOR_THE_PROJECT = ("dev", "docs")
"""Extras for work on the project itself: a user of tinysr lacks nothing without them."""

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
    problem: str = ""
    """Reason why nothing is known; empty if something is."""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Say what works on this machine."""
    backends = _ask(backend_rows, lambda words: [_no_backends(words)])
    extras = _ask(extra_rows, lambda words: [_no_extras(words)])
    if as_json:
        Output().json(_report(backends, extras))
    else:
        _print(backends, extras)


def _ask(ask: Callable[[], T], otherwise: Callable[[str], T]) -> T:
    """Return an answer, or what stands for it when the question fails: the others go on."""
    try:
        return ask()
    except (Exception, SystemExit) as error:  # a library that is asked may do anything
        words = " ".join(str(error).split())[:200]
        return otherwise(f"the check of it failed: {type(error).__name__}: {words}")


def _no_backends(words: str) -> BackendRow:
    remedy = "install tinysr again"
    return BackendRow(name="all", provider="", ready=False, detail=words, remedy=remedy)


def _no_extras(words: str) -> ExtraRow:
    return ExtraRow(name="all", ready=False, versions={}, missing=(), problem=words)


def backend_rows() -> list[BackendRow]:
    """Ask every backend, on each of its providers, whether it works."""
    from tinysr.runtime import BACKENDS, RunOptions

    return [
        _backend_row(kind(RunOptions(provider=provider)))
        for kind in BACKENDS
        for provider in kind.providers or (None,)
    ]


def _backend_row(backend: Backend) -> BackendRow:
    found = backend.status()
    return BackendRow(
        name=backend.name,
        provider=backend.provider,
        ready=found.ready,
        detail=found.detail,
        remedy="" if found.ready else found.remedy,
    )


def extra_rows() -> list[ExtraRow]:
    """Check the packages of every extra that the installed tinysr declares for its users."""
    rows = []
    for name, wanted in _extras().items():
        versions = find_versions(wanted)
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
        if found is None or found["of"] in (None, *FOR_THE_PROJECT):
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
        "system": _system(),
        "packages": _packages(),
        "backends": [asdict(row) for row in backends],
        "extras": [asdict(row) for row in extras],
    }


def _system() -> str:
    return _ask(platform.platform, lambda words: f"an unknown system ({words})")


def _packages() -> dict[str, str]:
    names = ("tinysr", *BASE_PACKAGES)
    return _ask(lambda: find_versions(names), lambda words: dict.fromkeys(names, words))


def _print(backends: list[BackendRow], extras: list[ExtraRow]) -> None:
    output = Output()
    output.line(f"Python {platform.python_version()} on {_system()}")
    output.line(", ".join(f"{name} {version}" for name, version in _packages().items()))
    output.line()
    output.table(_backend_table(backends))
    output.line()
    output.table(_extra_table(extras))


def _backend_table(backends: list[BackendRow]) -> Table:
    here, missing = (Column(name=f"what is {name}", wraps=True) for name in ("here", "missing"))
    table = Table(columns=[Column(name="backend"), Column(name="works"), here, missing])
    for row in backends:
        name = f"{row.name} ({row.provider})" if row.provider else row.name
        table.add(name, _mark(row.ready), row.detail, row.remedy)
    return table


def _extra_table(extras: list[ExtraRow]) -> Table:
    have, missing = Column(name="packages", wraps=True), Column(name="what is missing")
    table = Table(columns=[Column(name="extra"), Column(name="installed"), have, missing])
    for extra in extras:
        versions = ", ".join(f"{name} {version}" for name, version in extra.versions.items())
        remedy = "" if extra.ready else f"pip install 'tinysr[{extra.name}]'"
        if extra.problem:
            versions, remedy = extra.problem, "install tinysr again"
        table.add(extra.name, _mark(extra.ready), versions, remedy)
    return table


def _mark(ready: bool) -> Part:
    return style_text("yes", "green") if ready else style_text("no", "yellow")
