"""The program as a shell sees it: exit codes, one line of error, and nothing half-made."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image

from tests.support.bundles import edit_manifest, make_bundle
from tests.support.project import ROOT
from tinysr.cli import app as app_module
from tinysr.cli import main

PROGRAM = Path(sys.executable).with_name("tinysr")
COMMANDS = (
    "bench",
    "calibrate",
    "compare",
    "doctor",
    "export",
    "families",
    "inspect",
    "parity",
    "residency",
    "search",
    "train",
    "upscale",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """A process that ended."""

    code: int
    out: str
    error: str


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a working directory with everything that can go wrong in it."""
    desk = tmp_path_factory.mktemp("desk")
    make_bundle(desk / "twin")
    flipped = make_bundle(desk / "flipped") / "onnx" / "encoder.onnx"
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    outside = make_bundle(desk / "outside")
    edit_manifest(outside, lambda data: data["artifacts"][0]["file"].update(path="../../secret"))
    for name, size in {"photo": (40, 36), "dot": (1, 1), "line": (1, 4000)}.items():
        Image.new("RGB", size, "teal").save(desk / f"{name}.png")
    (desk / "cut.png").write_bytes((desk / "photo.png").read_bytes()[:60])
    (desk / "words.png").write_text("no image")
    (desk / "taken.png").write_text("precious")
    (desk / "empty").mkdir()
    (desk / "thesis").mkdir()
    (desk / "thesis" / "thesis.tex").write_text("precious")
    # A pickle that would print, were it read.
    (desk / "model.pt").write_bytes(b"cbuiltins\nprint\n(S'code was run'\ntR.")
    return desk


def run(desk: Path, *words: object) -> Ended:
    """Run `tinysr` in the desk."""
    command = [str(PROGRAM), *map(str, words)]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "COLUMNS": "80"}
    done = subprocess.run(  # noqa: S603  our own program
        command, cwd=desk, env=env, capture_output=True, text=True, timeout=120, check=False
    )
    return Ended(code=done.returncode, out=done.stdout, error=done.stderr)


UPSCALE = ("upscale", "photo.png", "-o", "out.png", "--bundle")

# By name: the words, the exit code, what the one line says.
REFUSED: dict[str, tuple[tuple[object, ...], int, str]] = {
    # What to export, and how.
    "preset": (("export", "giant", "-o", "new"), 2, "unknown model 'giant'"),
    "target": (("export", "-t", "abacus", "-o", "new"), 2, "unknown target 'abacus'"),
    "precision": (("export", "--precision", "fp12", "-o", "new"), 2, "unknown precision 'fp12'"),
    "batch of none": (("export", "--batch", "0", "-o", "new"), 2, "at least 1 or 'dynamic'"),
    "batch": (("export", "--batch", "many", "-o", "new"), 2, "found 'many'"),
    "tile": (
        ("export", "--tile", "102", "-o", "new"),
        2,
        "a multiple of 4 of at least 16, found 102",
    ),
    "big tile": (("export", "--tile", "4000", "-o", "new"), 2, "use smaller tiles"),
    "layers": (("export", "--layers", "one", "-o", "new"), 2, "layers such as 0,2,5"),
    # Where to.
    "older bundle": (("export", "-o", "twin"), 2, "--overwrite replaces it"),
    "something else": (("export", "-o", "thesis", "--overwrite"), 2, "not a bundle is here"),
    "file": (("export", "-o", "taken.png", "--overwrite"), 2, "not a bundle is here"),
    "unwritable": (("export", "-o", "taken.png/new"), 2, "can't be written"),
    "nameless": (("export", "-o", "."), 2, "with a name"),
    # What from.
    "empty checkpoint": (("export", "empty", "-o", "new"), 2, "no known checkpoint layout"),
    "pickle": (("export", "model.pt", "-o", "new"), 2, "pickles may hold code"),
    # Bundles.
    "no bundle": ((*UPSCALE, "empty"), 2, "no bundle here"),
    "way out": ((*UPSCALE, "outside"), 2, "'../../secret' leaves the bundle"),
    "flipped byte": ((*UPSCALE, "flipped"), 2, "onnx/encoder.onnx: expected SHA-256"),
    "inspected": (("inspect", "flipped"), 2, "damaged: onnx/encoder.onnx"),
    "held up": (("parity", "twin", "-b", "abacus"), 2, "unknown backend 'abacus'"),
    # Images.
    "truncated": (("upscale", "cut.png", "-o", "out.png", "--bundle", "twin"), 2, "truncated"),
    "no image": (("upscale", "words.png", "-o", "out.png", "--bundle", "twin"), 2, "words.png"),
    "no images": (("upscale", "empty", "-o", "out", "--bundle", "twin"), 2, "found none"),
    "kept output": (("upscale", "photo.png", "-o", "taken.png", "--bundle", "twin"), 2, "kept"),
    # Backends.
    "backend": ((*UPSCALE, "twin", "-b", "abacus"), 2, "unknown backend 'abacus'"),
    "no cuda": ((*UPSCALE, "twin", "-b", "onnxruntime", "--provider", "cuda"), 3, "on cuda here"),
}


IN_PROCESSES = ("preset", "unwritable", "pickle", "truncated", "no cuda")
"""Cases that are run as a shell runs them too; each takes seconds to start."""


@pytest.fixture
def call(
    desk: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """Return what does as :func:`run` in this process, where torch is loaded already."""

    def called(*words: object) -> Ended:
        monkeypatch.chdir(desk)
        monkeypatch.setattr(sys, "argv", ["tinysr", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            main()
        captured = capfd.readouterr()
        assert isinstance(caught.value.code, int)
        return Ended(code=caught.value.code, out=captured.out, error=captured.err)

    return called


def named(case: str) -> str:
    return case.replace(" ", "-")


@pytest.mark.parametrize("case", REFUSED, ids=named)
def test_bad_input_is_one_line_and_an_exit_code(
    case: str, desk: Path, call: Callable[..., Ended]
) -> None:
    words, code, reason = REFUSED[case]
    ended = call(*words)
    (line,) = ended.error.splitlines()
    assert line.startswith("error: ")
    assert reason in line
    assert ended.code == code
    assert "code was run" not in ended.out + ended.error
    nothing_is_left(desk)


@pytest.mark.parametrize("case", IN_PROCESSES, ids=named)
def test_a_shell_sees_the_same(case: str, desk: Path, call: Callable[..., Ended]) -> None:
    words, _, _ = REFUSED[case]
    assert run(desk, *words) == call(*words)
    nothing_is_left(desk)


def nothing_is_left(desk: Path) -> None:
    for name in ("new", "out", "out.png", "bundles"):
        assert not (desk / name).exists()
    assert not list(desk.rglob(".*"))
    assert (desk / "taken.png").read_text() == "precious"
    assert (desk / "thesis" / "thesis.tex").read_text() == "precious"


@pytest.mark.parametrize("words", [("enlarge",), ("export", "--tile", "big"), ("export", "--fast")])
def test_a_wrong_call_is_one_line_that_names_the_help(
    words: tuple[str, ...], call: Callable[..., Ended]
) -> None:
    ended = call(*words)
    (line,) = ended.error.splitlines()
    assert ended.code == 2
    assert ended.out == ""
    assert words[-1] in line or words[-2] in line
    assert "--help`" in line


def test_help_and_version_go_to_standard_output(desk: Path) -> None:
    version = run(desk, "--version")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert version == Ended(code=0, out=f"tinysr {project['version']}\n", error="")
    overview = run(desk, "--help")
    assert (overview.code, overview.error) == (0, "")
    assert [command for command in COMMANDS if command not in overview.out] == []


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_a_help_page(command: str, call: Callable[..., Ended]) -> None:
    page = call(command, "--help")
    assert (page.code, page.error) == (0, "")
    assert f" {command} [OPTIONS]" in page.out


def test_commands_that_follow_one_another_in_a_process_find_each_command_once(
    call: Callable[..., Ended],
) -> None:
    """Or each would take longer than the one before: every command is looked into each time."""
    for _ in range(2):
        assert call("--version").code == 0
        assert len(app_module.app.registered_commands) == len(COMMANDS)


def test_images_of_one_pixel_and_of_one_column_are_upscaled(desk: Path, tmp_path: Path) -> None:
    ended = run(desk, "upscale", "dot.png", "line.png", "-o", tmp_path, "--bundle", "twin")
    assert (ended.code, ended.error) == (0, "")
    for name, size in {"dot": (4, 4), "line": (4, 16000)}.items():
        with Image.open(tmp_path / f"{name}.png") as image:
            assert image.size == size


def test_a_batch_names_the_one_that_failed(desk: Path, tmp_path: Path) -> None:
    ended = run(desk, "upscale", "photo.png", "cut.png", "-o", tmp_path, "--bundle", "twin")
    (line,) = ended.error.splitlines()
    assert "cut.png" in line
    assert ended.code == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photo.png", "tinysr-log.jsonl"]


def packages_in_the_tree() -> Iterator[tuple[str, Path]]:
    """Yield each package's import name and folder, by the mapping that DESIGN has."""
    folders = {"tinysr": ROOT / "src" / "tinysr"}
    folders |= {
        f"tinysr.{room}": ROOT / room for room in ("benchmarks", "calibration", "export", "runtime")
    }
    for name, folder in folders.items():
        for init in folder.rglob("__init__.py"):
            inner = init.parent.relative_to(folder).parts
            yield ".".join((name, *inner)), init.parent


def test_the_distribution_holds_every_package_of_the_tree() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    tree = dict(packages_in_the_tree())
    assert sorted(tools["packages"]) == tools["packages"] == sorted(tree)
    for name, folder in tree.items():
        mapped = max((m for m in tools["package-dir"] if f"{name}.".startswith(f"{m}.")), key=len)
        inner = name.removeprefix(mapped).strip(".").split(".")
        assert ROOT.joinpath(tools["package-dir"][mapped], *filter(None, inner)) == folder


def test_no_module_lies_outside_a_package() -> None:
    folders = {folder for _, folder in packages_in_the_tree()}
    for room in ("src", "benchmarks", "calibration", "export", "runtime"):
        for module in (ROOT / room).rglob("*.py"):
            assert module.parent in folders, f"{module} would be left out of the wheel"


def test_the_thin_install_brings_no_torch_and_no_onnx() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    thin = {requirement.split(">")[0].split("[")[0] for requirement in project["dependencies"]}
    assert thin == {
        *("numpy", "onnxruntime", "pillow", "platformdirs", "pydantic", "pyvips", "rich", "typer")
    }


@pytest.mark.parametrize("command", ["parity", "compare"])
def test_a_missing_package_is_one_line(
    command: str, run: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    code, out, err = run(command, "bundle")
    assert code == 3
    assert not out
    assert err.startswith("error: the package 'torch' is not installed: pip install 'tinysr[")
    assert err.count("\n") == 1
