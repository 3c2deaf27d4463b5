"""An option that has no effect in the mode of a command is refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bundles import make_bundle
from tests.support.command_line import Option, commands, options
from tinysr.cli.modes import MODES

Run = Callable[..., tuple[int, str, str]]

ENTERED: dict[str, tuple[str, ...]] = {
    "a bundle's export": ("export", "bundle", "-t", "openvino"),
    "an export without TensorRT": ("export", "tinysr-nano"),
    "an export without CoreML": ("export", "tinysr-nano"),
    "a plan for fp16": ("calibrate", "tinysr-nano"),
    "a plan for fewer bits": ("calibrate", "tinysr-nano", "--precision", "w8"),
    "a check of a plan": ("calibrate", "tinysr-nano", "--check", "plan.toml"),
    "a check of a plan for fewer bits": (
        *("calibrate", "tinysr-nano", "--precision", "w8", "--check", "plan.toml"),
    ),
    "a calibration on one's own images": ("calibrate", "tinysr-nano", "--images", "photos"),
    "a bundle's inspection": ("inspect", "bundle"),
    "a release": ("train", "nano", "--release", "weights"),
    "a recipe's training": ("train", "nano"),
    "a training from the start": ("train", "nano/teacher"),
    "an image on a background": ("upscale", "photo.png", "-o", "a.png", "--background", "white"),
    "an image for standard output": ("upscale", "photo.png", "-o", "-"),
}
"""Words of a command that is in a mode."""

PLAUSIBLE = {"target": "onnx", "engine_batch": "1:1:1", "engine_sides": "16:16:16"}
"""Values that are fine by themselves, where x is not."""

REFUSED = [
    (mode, option)
    for mode in MODES
    for option in options()
    if option.command == MODES[mode].command and MODES[mode].refuses_option(option.parameter)
]


def test_every_mode_is_entered_here_and_names_parameters_that_there_are() -> None:
    assert ENTERED.keys() == MODES.keys()
    for name, mode in MODES.items():
        known = {option.parameter for option in options() if option.command == mode.command}
        arguments = {"model", "target", "recipe", "inputs", "bundle"}
        assert (mode.takes or mode.refuses) <= known | arguments, name
        assert mode.command in commands()


@pytest.mark.parametrize(("mode", "option"), REFUSED, ids=lambda one: str(one).replace(" ", "-"))
def test_what_has_no_effect_is_refused(mode: str, option: Option, run: Run, tmp_path: Path) -> None:
    if "bundle" in ENTERED[mode]:
        make_bundle(tmp_path / "bundle")
    words = [*option.words]
    if option.parameter in PLAUSIBLE:
        words[-1] = PLAUSIBLE[option.parameter]
    before = sorted(tmp_path.rglob("*"))
    code, out, err = run(*ENTERED[mode], *words)
    assert code == 2, err
    assert not out
    assert err.startswith(f"error: {_long(option)} has no effect "), err
    assert err.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def _long(option: Option) -> str:
    """Return the option's positive name: --gate of --no-gate."""
    return option.flag.replace("--no-", "--")


def test_the_default_value_is_refused_as_well(run: Run, tmp_path: Path) -> None:
    make_bundle(tmp_path / "bundle")
    code, _, err = run("export", "bundle", "--tile", "128")
    assert code == 2
    assert err == (
        "error: --tile has no effect on a bundle, and bundle was exported with tiles of 32: "
        "export the model again\n"
    )


@pytest.mark.parametrize("words", [("--batch", "4"), ("--layers", "0,2"), ("--plan", "p.toml")])
def test_a_bundle_says_what_it_was_exported_with(
    words: tuple[str, str], run: Run, tmp_path: Path
) -> None:
    make_bundle(tmp_path / "bundle")
    found = {"--batch": "batches of any size", "--layers": "all layers", "--plan": "no plan"}
    _, _, err = run("export", "bundle", *words)
    assert f"exported with {found[words[0]]}: export the model again" in err


def test_one_input_of_a_stage_is_given_once(run: Run) -> None:
    for more in (("--input", "teacher=b"), ("--teacher", "b")):
        code, _, err = run("train", "nano/prune", "--input", "teacher=a", *more)
        assert code == 2
        assert "one --input for each role, found two for 'teacher'" in err
