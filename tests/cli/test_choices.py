"""A name that an option does not know ends any command with one line that lists the known ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.bundles import edit_manifest, make_bundle
from tests.support.command_line import Option, options
from tests.support.project import ROOT
from tinysr.cli.modes import MODES
from tinysr.errors import TinySRError
from tinysr.export import Extension

Run = Callable[..., tuple[int, str, str]]

FREE = {
    "upscale --output": "a path",
    "bench --device": "any name for a machine",
    "train --set": "a value of a config, whose keys the config knows",
    "train --input": "a role, which the stage knows, and a path",
}
"""Options of text that are no choice, and why."""

FORMS = {
    "export --batch": "expected a batch of at least 1 or 'dynamic'",
    "export --layers": "expected layers such as 0,2,5",
    "export --engine-batch": "expected three sizes such as 1:4:8",
    "export --engine-sides": "expected three sizes such as 1:4:8",
    "export --compute-capability": "compute capability",
    "upscale --precision": "found fp32; make them with",
    "upscale --background": "expected a colour such as",
    "upscale --page": "expected a whole number of at least 1, or all",
    "train --image-teacher": "expected a file, or one of",
}
"""Options of text that have a form in place of a list, and what is said of another."""

_ENGINES = ("--flavor", "--compute-capability", "--engine-batch", "--engine-sides")

NEEDS = {
    **dict.fromkeys((*_ENGINES, "--hardware-compatibility"), ("-t", "tensorrt")),
    **dict.fromkeys(("--minimum-deployment-target", "--layout"), ("-t", "coreml")),
}
"""Words without which an option has no effect."""

PLACES: dict[str, tuple[tuple[str, ...], ...]] = {
    "upscale": (("photo.png", "-o", "new.png", "--bundle", "bundle"),),
    "export": (("tinysr-nano", "-o", "new"), ("bundle", "-o", "new")),
    "families": ((),),
    "parity": (("bundle",),),
    "bench": (("bundle", "--rules", "quick"),),
    "calibrate": (("tinysr-nano", "--precision", "w8"), ("tinysr-nano",), ("bundle",)),
    "search": (("toc-sr", "--most-cost", "0.5", "-o", "new"),),
    "train": (("nano/teacher", "-o", "new"), ("nano", "-o", "new")),
}
"""Words of each command that has choices, in its modes."""

CHOICES = [one for one in options() if one.kind is str and str(one) not in FREE]

CASES = [
    (option, words)
    for option in CHOICES
    for words in PLACES[option.command]
    if not (
        option.command == "export" and MODES["a bundle's export"].refuses_option(option.parameter)
    )
    or "bundle" not in words
    if str(option) != "calibrate --target" or "w8" in words
]


@pytest.fixture
def place(tmp_path: Path, run: Run) -> Path:
    """Return the folder of a command, with what the words name."""
    make_bundle(tmp_path / "bundle", source_kind="preset")

    def rename(data: dict[str, dict[str, object]]) -> None:
        data["source"]["name"] = "tinysr-nano"

    edit_manifest(tmp_path / "bundle", rename)
    photo = ROOT / "examples" / "camera.png"
    (tmp_path / "photo.png").write_bytes(photo.read_bytes())
    return tmp_path


@pytest.mark.parametrize(("option", "words"), CASES, ids=lambda one: str(one).replace(" ", "-"))
def test_an_unknown_name_is_one_line(
    option: Option, words: tuple[str, ...], run: Run, place: Path
) -> None:
    before = sorted(place.rglob("*"))
    needed = NEEDS.get(option.flag, ())
    code, out, err = run(option.command, *words, *needed, option.flag, "fp12")
    assert code == 2, err
    assert not out
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert "fp12" in line
    assert FORMS.get(str(option), "expected one of ") in line, line
    assert sorted(place.rglob("*")) == before


def test_every_option_of_text_is_accounted_for() -> None:
    texts = {str(one) for one in options() if one.kind is str}
    assert texts >= FREE.keys() | FORMS.keys()
    assert {one.command for one in CHOICES} == PLACES.keys()


@pytest.mark.parametrize("command", ["parity", "bench", "compare", "residency"])
def test_a_folder_that_is_no_bundle_is_one_line(command: str, run: Run) -> None:
    code, _, err = run(command, "fp12")
    assert code == 2
    assert "fp12: no bundle here" in err


@pytest.mark.parametrize("command", ["export", "calibrate", "inspect", "train"])
def test_an_unknown_model_or_recipe_is_one_line(command: str, run: Run) -> None:
    code, _, err = run(command, "fp12")
    assert code == 2
    (line,) = err.splitlines()
    assert "fp12" in line


def test_the_library_refuses_what_the_command_line_does() -> None:
    with pytest.raises(TinySRError, match="unknown precision 'fp12': expected one of all, fp16"):
        Extension(targets=("tensorrt",), precision="fp12", settings={})
