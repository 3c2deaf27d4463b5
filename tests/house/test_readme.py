"""What README and CONTRIBUTING tell people to type works, and the figures are current."""

from __future__ import annotations

import importlib.util
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import numpy as np
import pytest
import typer
from PIL import Image

import tinysr.runtime.backends
from tests.support.bundles import edit_manifest, make_bundle
from tests.support.project import ROOT
from tinysr.benchmarks.report import documents, figures, kept_figures, quality_figures
from tinysr.benchmarks.report.page import device_lines, speed_lines
from tinysr.calibration import FP16_MAX, LOST_DB
from tinysr.cli import app as cli
from tinysr.errors import UnsupportedError
from tinysr.runtime import MAX_MEGAPIXELS, MEMORY_MB, Bundle, create
from tinysr.runtime.files import OUTPUT_SUFFIXES
from tinysr.runtime.folder.pipeline import IN_FLIGHT

DOCUMENTS = [path.relative_to(ROOT).as_posix() for path in documents.documents(ROOT)]
SLOW = ("bench", "export", "parity", "calibrate", "compare", "residency", "search", "train")
"""Commands that take longer than a test may; `make demo` and their own tests run them."""


def blocks(document: str, language: str) -> list[str]:
    """Return the code of a document in one language, without its indentation."""
    text = (ROOT / document).read_text(encoding="utf-8")
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) for indent, code in found]


def lines(*, piped: bool) -> list[str]:
    """Return the documents' commands: those with a pipe, or all others."""
    found = [line for d in DOCUMENTS for code in blocks(d, "sh") for line in code.splitlines()]
    return [line for line in found if line.strip() and (" | " in line) is piped]


def commands(program: str) -> list[list[str]]:
    """Return the arguments of every call of a program in the documents, alone on its line."""
    split = [shlex.split(line, comments=True) for line in lines(piped=False)]
    # torchrun starts the command that follows.
    split = [w[w.index("--no-python") + 1 :] if "torchrun" in w else w for w in split]
    return [words[1:] for words in split if words and words[0] == program]


@pytest.fixture(scope="module")
def group() -> typer.core.TyperGroup:
    cli._register()
    found = typer.main.get_command(cli.app)
    assert isinstance(found, typer.core.TyperGroup)
    return found


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder with all that the documents name, the bundle a small one."""
    for name in ("tinysr-nano", "tinysr-nano-faithful", "my-upscaler"):
        make_bundle(tmp_path / "bundles" / name)
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    (tmp_path / "holiday").mkdir()
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8))
    for path in ("photo.jpg", "map.png", "holiday/beach.jpg"):
        noise.save(tmp_path / path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("words", commands("tinysr"), ids=" ".join)
def test_every_command_has_the_options_it_is_shown_with(
    words: list[str], group: typer.core.TyperGroup
) -> None:
    command = group.commands[words[0]]
    command.make_context(words[0], words[1:])


def test_quick_commands_do_what_they_are_shown_for(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = dict.fromkeys(tuple(w) for w in commands("tinysr") if w[0] not in SLOW)
    assert {words[0] for words in quick} == {"upscale", "inspect", "families", "doctor"}
    for words in quick:
        monkeypatch.setattr(sys, "argv", ["tinysr", *words])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code, words
    assert Image.open(project / "photo-x4.png").size == (128, 96)
    assert Image.open(project / "photo-x4.jpg").size == (128, 96)
    assert Image.open(project / "holiday-x4" / "beach.jpg").size == (128, 96)
    assert Image.open(project / "holiday-webp" / "beach.webp").size == (64, 48)


def test_pipes_do_what_they_are_shown_for(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    for line in lines(piped=True):
        subprocess.run(line, shell=True, cwd=project, check=True, timeout=60)  # noqa: S602  ours
    for name in ("piped-x4.png", "piped-x4.jpg"):
        assert Image.open(project / name).size == (128, 96)


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = {word for words in commands("make") for word in words if "=" not in word}
    assert {"demo", "test", "showcase"} <= named <= targets


def test_every_extra_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {extra for words in commands("pip") for extra in re.findall(r"\[(\w+)\]", words[-1])}
    assert named
    assert named <= project["optional-dependencies"].keys()


def test_no_other_program_is_shown() -> None:
    calls = [*lines(piped=False), *(call for line in lines(piped=True) for call in line.split("|"))]
    programs = {call.split()[0] for call in calls}
    assert programs <= {"tinysr", "make", "pip", "pre-commit", "cat", "torchrun"}


def test_a_network_of_ones_own_is_exported_as_shown(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = "docs/bring-your-own.md"
    exec(compile(blocks(page, "python")[0], page, "exec"), {"__name__": "example"})  # noqa: S102  ours
    (project / "my-upscaler.toml").write_text(blocks(page, "toml")[0], encoding="utf-8")
    shutil.rmtree(project / "bundles" / "my-upscaler")
    for line in blocks(page, "sh")[0].splitlines():
        monkeypatch.setattr(sys, "argv", shlex.split(line))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code, line
    low, high = Image.open("photo.jpg"), Image.open("larger.jpg")
    assert high.size == (2 * low.width, 2 * low.height)


def test_the_python_example_runs(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = blocks("docs/upscale.md", "python")
    (project / "example.py").write_text(example, encoding="utf-8")
    runpy.run_path(str(project / "example.py"))
    assert "onnxruntime" in capsys.readouterr().out
    low, high = Image.open("examples/astronaut.png"), Image.open("astronaut-x4.png")
    assert high.size == (4 * low.width, 4 * low.height)


def test_the_worked_backend_equals_onnxruntime(tmp_path: Path) -> None:
    source = blocks("CONTRIBUTING.md", "python")[0]
    spec = importlib.util.spec_from_loader("tinysr.runtime.backends.onnxreference", loader=None)
    assert spec is not None
    module = types.ModuleType(spec.name)
    module.__package__ = tinysr.runtime.backends.__name__
    exec(compile(source, "CONTRIBUTING.md", "exec"), module.__dict__)  # noqa: S102
    bundle = Bundle(make_bundle(tmp_path / "twin"))
    backend, known = module.OnnxReferenceBackend(), create("onnxruntime")
    artifact = bundle.artifact("onnx", "encoder", "fp32")
    feed = {"image": np.random.default_rng(0).random((1, 3, 16, 16), np.float32)}
    with backend.open(bundle, artifact) as found, known.open(bundle, artifact) as expected:
        for name, array in expected.run(feed).items():
            np.testing.assert_allclose(found.run(feed)[name], array, atol=1e-6)


def test_the_worked_test_of_a_pass_passes() -> None:
    scope: dict[str, object] = {}
    exec(compile(blocks("CONTRIBUTING.md", "python")[1], "CONTRIBUTING.md", "exec"), scope)  # noqa: S102
    (test,) = (value for name, value in scope.items() if name.startswith("test_"))
    assert callable(test)
    test()


def test_every_file_that_is_named_exists() -> None:
    for document in DOCUMENTS:
        text = (ROOT / document).read_text(encoding="utf-8")
        links = re.findall(r"\]\(([^):]+)\)", text)
        paths = re.findall(r"`((?:src|export|runtime|tests|benchmarks)/[\w/.-]+)`", text)
        here = (ROOT / document).parent
        missing = [link for link in links if not (here / link.partition("#")[0]).exists()]
        missing += [path for path in paths if not (ROOT / path).exists()]
        assert missing in ([], ["runtime/backends/onnxreference.py"])  # the worked backend's


def test_the_figures_are_those_of_this_version() -> None:
    text = "\n".join((ROOT / d).read_text(encoding="utf-8") for d in DOCUMENTS)
    current = (
        quality_figures.headline_lines(),
        quality_figures.limit_lines(),
        figures.cost_lines(),
        figures.step_lines(),
        figures.pruning_lines(),
        quality_figures.quality_lines(),
        figures.gate_lines(),
        kept_figures.memory_lines(),
        kept_figures.throughput_lines(),
        kept_figures.comparison_lines(),
        kept_figures.recoverability_lines(),
        device_lines(),
        speed_lines(),
    )
    for lines in current:
        assert "\n".join(lines) in text, (
            "the documents' figures are old: run `make showcase` or `make bench-report`"
        )


def test_limits_in_words_are_those_in_the_code() -> None:
    text = " ".join(" ".join((ROOT / d).read_text(encoding="utf-8") for d in DOCUMENTS).split())
    for words in (
        f"at most {LOST_DB:g} dB lost against the ground truth",
        f"`--memory` ({MEMORY_MB:g} MB,",
        f"those of more than {IN_FLIGHT:g} megapixels when made",
        f"Photos of up to {MAX_MEGAPIXELS / 16:g} megapixels need no option",
        "a file: " + ", ".join(f"`{suffix}`" for suffix in list(OUTPUT_SUFFIXES)[:-1]),
        f"passes {FP16_MAX:g};",
    ):
        assert words in text


def test_a_block_is_replaced_between_its_markers() -> None:
    text = "a\n<!-- begin:x -->\nold\n<!-- end:x -->\nb\n"
    new = documents.fill(text, "x", ["new"])
    assert new == "a\n<!-- begin:x -->\nnew\n<!-- end:x -->\nb\n"
    assert documents.fill(new, "x", ["new"]) == new
    with pytest.raises(UnsupportedError, match="begin:y"):
        documents.fill(text, "y", ["new"])


def test_a_bundle_says_its_size_and_its_worst_image(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "twin")
    edit_manifest(bundle, lambda m: m["tools"].update(onnxruntime="1.2", torch="3.4"))
    text = " ".join(figures.bundle_lines(bundle))
    assert "3 graphs" in text
    assert "123.4 dB; the gate is 80 dB" in text
    edit_manifest(bundle, lambda m: m["artifacts"][1]["parity"].update(result="fail"))
    with pytest.raises(UnsupportedError, match="passed parity"):
        figures.bundle_lines(bundle)


def test_precisions_are_told_with_what_was_measured(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "twin")
    score = {"image": "white", "psnr_db": 57.53}
    equal = {"image": "black", "psnr_db": None}
    calibration = {
        "model": {"name": "twin"},
        "modules": 12,
        "images": [{}] * 32,
        "plan": {"keep": []},
        "tightest": {"absmax": 1023.0, "op": "norm:layer_norm.squared sum", "headroom": 6.0},
        "verdict": {"evaluation": {"scores": [score, equal]}},
    }
    lines = figures.precision_lines(bundle, calibration)
    assert "| fp32 | 0.0 MB | 123.4 dB | 80 dB |" in lines
    text = " ".join(lines)
    assert "12 modules on 32 images" in text
    assert "no modules are kept in fp32" in text
    assert "worst of 2 images (white) has 57.5 dB" in text
    edit_manifest(bundle, lambda m: m["artifacts"][1]["parity"].update(result="fail"))
    with pytest.raises(UnsupportedError, match="passed parity in fp32"):
        figures.precision_lines(bundle, calibration)


def test_every_document_with_a_block_gets_it(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    places = [tmp_path / "README.md", tmp_path / "docs" / "page.md"]
    for path in places:
        path.write_text("<!-- begin:x -->\nold\n<!-- end:x -->\n", encoding="utf-8")
    assert documents.fill_documents(tmp_path, {"x": ["new"]}) == places
    assert all("new" in path.read_text(encoding="utf-8") for path in places)
    with pytest.raises(UnsupportedError, match="begin:y"):
        documents.fill_documents(tmp_path, {"x": ["newer"], "y": ["new"]})
    assert not any("newer" in path.read_text(encoding="utf-8") for path in places)


def test_without_a_bundle_the_documents_stay_as_they_were(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "README.md"
    shutil.copy(ROOT / "README.md", page)
    assert figures.main([str(tmp_path / "missing"), "--documents", str(tmp_path)]) == 2
    assert "missing" in capsys.readouterr().err
    assert page.read_bytes() == (ROOT / "README.md").read_bytes()


@pytest.mark.slow
def test_the_export_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (example,) = blocks("docs/python.md", "python")
    exec(compile(example, "docs/python.md", "exec"), {})  # noqa: S102
    assert (tmp_path / "bundles" / "mine" / "manifest.json").is_file()
