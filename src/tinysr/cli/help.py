"""Help pages: plain text, in which no name is cut at any width."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from tinysr.errors import UnsupportedError
from tinysr.terminal import Output

__all__ = ["Command", "CommandGroup", "first_line"]


class CommandGroup(TyperGroup):
    """All commands."""

    def get_help(self, ctx: Any) -> str:
        """Return the page in the characters that standard output has."""
        return Output().degrade(super().get_help(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of a command; where there are none, show the page."""
        if not args:
            Output().write(self.get_help(ctx))
            raise typer.Exit(UnsupportedError.exit_code)
        return super().parse_args(ctx, args)


class Command(TyperCommand):
    """A command whose options stand in sections, those of a target in one of its own."""

    def get_help(self, ctx: Any) -> str:
        """Return the page in the characters that standard output has."""
        return Output().degrade(super().get_help(ctx))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write all parameters, by section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            if record := parameter.get_help_record(ctx):
                sections.setdefault(_section(parameter), []).append(record)
        for name, records in sections.items():
            with formatter.section(name):
                formatter.write_dl(records)


def first_line(command: Callable[..., object]) -> str:
    """Return what a list of commands says of one: it would be cut if it were not given."""
    return (inspect.getdoc(command) or "").partition("\n")[0]


def _section(parameter: Any) -> str:
    kind = "Arguments" if parameter.param_type_name == "argument" else "Options"
    return getattr(parameter, "rich_help_panel", None) or kind
