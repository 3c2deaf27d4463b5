"""Numbers on the command line: every option of every command refuses what makes no sense."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.utils import get_params_from_function

from tinysr.cli import app as cli
from tinysr.cli.numbers import Number

Run = Callable[..., tuple[int, str, str]]
Option = tuple[str, str, Number[Any]]

NEVER = ("nan", "inf", "-inf", "1e999", "-1", "many", "")
"""No option takes these: a time, a size, a count or a seed."""


@pytest.fixture(scope="module")
def program() -> Any:
    """Return the program; to build it takes long."""
    return get_command(cli.app)


def options() -> Iterator[Option]:
    """Yield command, option and kind of each option whose annotation is a number's."""
    if not cli.app.registered_commands:
        cli._register()
    for command in cli.app.registered_commands:
        assert command.callback is not None
        for name, parameter in get_params_from_function(command.callback).items():
            if {"int", "float"} & {*str(parameter.annotation).replace("'", " ").split()} or any(
                part in str(parameter.annotation) for part in ("int |", "float |", "[int]")
            ):
                names = getattr(parameter.default, "param_decls", None) or ()
                option = names[-1] if names else f"--{name.replace('_', '-')}"
                kind: Any = getattr(parameter.default, "parser", None)
                yield command.callback.__name__, option, kind


OPTIONS = tuple({found[:2]: found for found in options()}.values())
IDS = [f"{command} {option}" for command, option, _ in OPTIONS]


def test_every_numeric_option_says_what_it_takes() -> None:
    assert {"upscale --memory", "upscale --scale", "export --tile", "bench --target-ms"} <= {*IDS}
    assert {"export --coreml-tile", "export --workspace", "train --workers"} <= {*IDS}
    without = [name for name, (*_, kind) in zip(IDS, OPTIONS, strict=True) if kind is None]
    assert not without, "take a kind of tinysr.cli.numbers"


@pytest.mark.parametrize("option", OPTIONS, ids=IDS)
def test_what_is_no_sensible_number_is_refused_by_name(program: Any, option: Option) -> None:
    command, name, kind = option
    none = ["0"] if (kind.least or 0) > 0 or kind.above == 0 else []
    parts = ["1.5"] if kind.kind is int else []
    for value in (*NEVER, *none, *parts):
        with pytest.raises(typer.TyperException) as caught:
            program.main([command, f"{name}={value}", "x"], standalone_mode=False)
        words = caught.value.format_message()
        assert words.startswith(f"Invalid value for '{name}'"), value
        assert f"expected {kind}, found" in words, value
        assert "\n" not in words


def test_the_refusal_is_one_line_and_exit_code_2(run: Run) -> None:
    code, out, err = run("upscale", "x", "--memory=-5")
    assert (code, out) == (2, "")
    assert err == (
        "error: Invalid value for '--memory': expected a number above 0, found -5: "
        "see `tinysr upscale --help`\n"
    )
