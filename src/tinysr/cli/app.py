"""The `tinysr` command: its subcommands, and how errors end it."""

from __future__ import annotations

import sys

import typer
import typer.exceptions

from tinysr import __version__
from tinysr.errors import UnsupportedError
from tinysr.terminal import Output, run_program

from .help import Command, CommandGroup, first_line
from .signals import INTERRUPTED, end_cleanly

__all__ = ["app", "main"]

app = typer.Typer(
    name="tinysr",
    cls=CommandGroup,
    rich_markup_mode=None,  # its tables cut the names of options
    help="One-step diffusion super-resolution, from a checkpoint to the devices people own.",
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _print_version(show: bool) -> None:
    if show:
        Output().line(f"tinysr {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False,
        "--version",
        callback=_print_version,
        is_eager=True,
        help="Print the version and exit.",
    ),
) -> None:
    pass


def _register() -> None:
    """Add every command, once a process; the modules import nothing heavy until one runs."""
    if app.registered_commands:
        return
    from .bench import bench
    from .calibrate import calibrate
    from .compare import compare
    from .doctor import doctor
    from .export import export
    from .families import families
    from .inspect import inspect
    from .parity import parity
    from .residency import residency
    from .search import search
    from .train import train
    from .upscale import upscale

    every = (
        *(upscale, export, parity, bench, calibrate, compare),
        *(inspect, families, search, residency, doctor, train),
    )
    for command in every:
        app.command(cls=Command, short_help=first_line(command))(command)


def main() -> None:
    """Run the command line; errors of the input or the machine are one line, no traceback."""
    with end_cleanly() as signals:
        code = run_program(_run_command)
        # Every interruption ends with the exit code of Ctrl-C at first.
        sys.exit(signals[0].exit_code if signals and code == INTERRUPTED else code)


def _run_command() -> int:
    """Run the command that was asked for; return its exit code."""
    _register()
    try:
        return int(app(standalone_mode=False) or 0)
    except typer.exceptions.TyperException as error:
        raise UnsupportedError(_describe_usage(error)) from error
    except typer.Abort as error:
        raise KeyboardInterrupt from error
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # typer's own end is another
            raise end.__context__ from None
        raise


def _describe_usage(error: typer.exceptions.TyperException) -> str:
    """Return what was wrong with the words of a command, and where to read about them."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "tinysr"
    return f"{error.format_message().rstrip('.')}: see `{command} --help`"
