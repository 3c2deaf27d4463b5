"""The `tinysr` command: its subcommands, and how errors end it."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from tinysr import __version__
from tinysr.errors import TinySRError

__all__ = ["app", "main"]

INTERRUPTED = 130
"""The exit code shells give a program ended by Ctrl-C."""

app = typer.Typer(
    name="tinysr",
    help="One-step diffusion super-resolution, from a checkpoint to the devices people own.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(show: bool) -> None:
    if show:
        typer.echo(f"tinysr {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    pass


def _register() -> None:
    """Add every command; the modules import nothing heavy until one runs."""
    from .doctor import doctor
    from .export import export
    from .inspect import inspect
    from .parity import parity
    from .train import train
    from .upscale import upscale

    for command in (upscale, export, parity, inspect, doctor, train):
        app.command()(command)


def main() -> None:
    """Run the command line; errors of the input or the machine are one line, no traceback."""
    _register()
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        app()
    except TinySRError as error:
        console.print(f"[bold red]error:[/] {_plain(error)}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        console.print("[bold red]interrupted[/]")
        sys.exit(INTERRUPTED)


def _plain(error: TinySRError) -> str:
    from rich.markup import escape

    return escape(" ".join(str(error).split()))
