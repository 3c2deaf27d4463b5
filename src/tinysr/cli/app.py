"""The `tinysr` command: its subcommands, and how errors end it."""

from __future__ import annotations

import sys

import typer
import typer.exceptions
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
    from .bench import bench
    from .calibrate import calibrate
    from .compare import compare
    from .doctor import doctor
    from .export import export
    from .inspect import inspect
    from .parity import parity
    from .residency import residency
    from .train import train
    from .upscale import upscale

    every = (upscale, export, parity, bench, calibrate, compare, inspect, residency, doctor, train)
    for command in every:
        app.command()(command)


def main() -> None:
    """Run the command line; errors of the input or the machine are one line, no traceback."""
    _register()
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    try:
        sys.exit(app(standalone_mode=False))
    except typer.exceptions.TyperException as error:
        if error.format_message():  # without a command there is none: the help was printed
            console.print(f"[bold red]error:[/] {_plain(_usage(error))}")
        sys.exit(TinySRError.exit_code)
    except TinySRError as error:
        console.print(f"[bold red]error:[/] {_plain(error)}")
        sys.exit(error.exit_code)
    except MemoryError as error:
        reason = f" ({_plain(error)})" if str(error) else ""
        console.print(
            f"[bold red]error:[/] out of memory{reason}: close other programs, or use a machine "
            "with more"
        )
        sys.exit(TinySRError.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        console.print("[bold red]interrupted[/]")
        sys.exit(INTERRUPTED)


def _usage(error: typer.exceptions.TyperException) -> str:
    """Return what was wrong with the words of a command, and where to read about them."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "tinysr"
    return f"{error.format_message().rstrip('.')}: see `{command} --help`"


def _plain(error: object) -> str:
    from rich.markup import escape

    return escape(" ".join(str(error).split()))
