"""Start and end of every program: `tinysr`, and `python -m tinysr.benchmarks.…`."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import ParamSpec

from tinysr.errors import TinySRError

from .output import Output
from .streams import is_of_output, prepare, settle
from .styled import style_text

__all__ = ["BROKEN_PIPE", "INTERRUPTED", "program", "run_program"]

INTERRUPTED = 130
"""The exit code shells give a program ended by Ctrl-C."""

BROKEN_PIPE = 141
"""Exit code that a shell gives a program that wrote to a pipe nobody reads any more."""

_Words = ParamSpec("_Words")


def program(main: Callable[_Words, int]) -> Callable[_Words, int]:
    """Make a function the main one of a program: see :func:`run_program`."""

    @functools.wraps(main)
    def wrapper(*words: _Words.args, **more: _Words.kwargs) -> int:
        return run_program(lambda: main(*words, **more))

    return wrapper


def run_program(work: Callable[[], int]) -> int:
    """Return the exit code of some work, after one line for what was wrong with input or machine.

    Output that can't be written is such an error, too; where nobody reads a pipe any more, nothing
    is said.
    """
    prepare()
    try:
        code = _code(work)
    except SystemExit:  # argparse's, after its help
        settle()
        raise
    except BrokenPipeError:
        settle()
        return BROKEN_PIPE
    except OSError as error:
        if not is_of_output(error):
            raise
        settle()
        return _refuse_output(error)
    problem = settle()
    if problem is None or code:
        return code
    return BROKEN_PIPE if isinstance(problem, BrokenPipeError) else _refuse_output(problem)


def _code(work: Callable[[], int]) -> int:
    try:
        return work()
    except TinySRError as error:
        settle()  # or the output's own error would stand beside this one
        _refuse(str(error))
        return error.exit_code
    except MemoryError as error:
        settle()
        reason = f" ({error})" if str(error) else ""
        _refuse(f"out of memory{reason}: close other programs, or use a machine with more")
        return TinySRError.exit_code
    except KeyboardInterrupt:
        _say("interrupted")
        return INTERRUPTED


def _refuse(text: str) -> None:
    _say("error:", f" {' '.join(text.split())}")


def _refuse_output(error: OSError) -> int:
    _refuse(f"the output can't be written: {error.strerror}")
    return TinySRError.exit_code


def _say(word: str, rest: str = "") -> None:
    """Print one line on standard error, if that takes it: the exit code says it, too."""
    with contextlib.suppress(OSError):
        Output(error=True).line(style_text(word, "bold red"), rest, wrap=False)
