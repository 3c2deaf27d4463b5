"""The command line as data: its commands, their options, and what an option takes."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import typer

from tinysr.cli import app as app_module


@dataclass(frozen=True, kw_only=True, slots=True)
class Option:
    """One option of one command."""

    command: str
    parameter: str
    """Its name in the code."""
    flag: str
    """Its long name on the command line, the one that changes something."""
    kind: type
    """str, int, float, bool or Path."""

    @property
    def words(self) -> tuple[str, ...]:
        """Words that give the option, with a value of its kind."""
        if self.kind is bool:
            return (self.flag,)
        return (self.flag, _VALUES_OF.get(self.flag, _VALUES[self.kind]))

    def __str__(self) -> str:
        return f"{self.command} {self.flag}"


_VALUES_OF = {"--optimization-level": "3", "--page": "1"}
"""Values of options that don't take every one of their kind."""

_VALUES = {str: "x", int: "64", float: "1", Path: "x"}


@cache
def commands() -> dict[str, Any]:
    """Return every command's function."""
    app = app_module.app
    if not app.registered_commands:
        app_module._register()
    found = [info.callback for info in app.registered_commands]
    return {function.__name__: function for function in found if function is not None}


@cache
def options() -> tuple[Option, ...]:
    """Return every option of every command."""
    return tuple(one for name in commands() for one in _options(name))


def _options(command: str) -> Iterator[Option]:
    click = typer.main.get_command(app_module.app).commands[command]  # type: ignore[attr-defined]
    flags = {one.name: one for one in click.params}
    for parameter in inspect.signature(commands()[command], eval_str=True).parameters.values():
        if typing.get_origin(parameter.annotation) is not Annotated:
            continue
        annotation, info = typing.get_args(parameter.annotation)
        if isinstance(info, typer.models.OptionInfo):
            one = flags[parameter.name]
            names = one.secondary_opts if parameter.default is True else one.opts
            yield Option(
                command=command,
                parameter=parameter.name,
                flag=max(names, key=len),
                kind=_kind(annotation),
            )


def _kind(annotation: Any) -> type:
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        (annotation,) = [one for one in typing.get_args(annotation) if one is not types.NoneType]
    if typing.get_origin(annotation) is list:
        (annotation,) = typing.get_args(annotation)
    assert isinstance(annotation, type)
    return annotation
