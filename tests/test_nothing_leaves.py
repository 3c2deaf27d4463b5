"""Nothing leaves the machine, and no file lies where none is expected: of every command, traced."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image
from tiny_models import TILE, tiny_model
from watching import PROGRAM, Watched, skip_unless, watch

from bundles import make_bundle
from tinysr.models.checkpoints.single_file import save_single_file
from tinysr.quiet import MEASURES

LIBRARIES = {
    "matplotlib": "matplotlib.figure",
    "onnxruntime": "onnxruntime",
    "onnxsim": "onnxsim",
    "openvino": "openvino",
}
"""A module of each package that has a measure, which makes it do what the measure is against."""

FOREIGN = """
import os, sys
import numpy as np
from tinysr.runtime import Upscaler

before = dict(os.environ)
with Upscaler(sys.argv[1], backend=sys.argv[2]) as upscaler:
    upscaler.upscale(np.zeros((20, 30, 3), np.uint8))
assert dict(os.environ) == before
assert "openvino_telemetry" not in sys.modules
import openvino_telemetry
"""
"""Somebody's own program, whose environment stays as it was."""

INDISCREET = """
import pathlib, socket

(pathlib.Path.home() / "id").write_text("1")
pathlib.Path("/var/tmp/tinysr-stray").touch()
try:
    socket.getaddrinfo("tinysr.invalid", 443)
except OSError:
    pass
"""
"""A program that does what none may."""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a photo, a checkpoint and a bundle of another model."""
    desk = tmp_path_factory.mktemp("desk")
    Image.new("RGB", (40, 36), "teal").save(desk / "photo.png")
    save_single_file(tiny_model(), desk / "tiny.safetensors")
    make_bundle(desk / "twin")
    return desk


@pytest.fixture(scope="module")
def exported(desk: Path) -> Watched:
    """Return how the checkpoint became the bundle ``tiny``, with ONNX and OpenVINO graphs."""
    kind = ("--tile", str(TILE), "-t", "openvino", "--no-gate")
    return tinysr(desk, "export", "tiny.safetensors", "-o", "tiny", *kind)


def tinysr(desk: Path, *words: str) -> Watched:
    """Run `tinysr` from the desk, in a home of its own."""
    return watch(
        desk.parent / f"watch-{len(list(desk.parent.iterdir()))}", PROGRAM, *words, work=desk
    )


def check_quiet(seen: Watched, *made: str) -> None:
    """Expect a command that did its work, and nothing else."""
    assert seen.code == 0, seen.error
    assert seen.network == ()
    assert seen.strays == ()
    assert seen.made == set(made)


def test_what_is_not_allowed_is_seen(tmp_path: Path) -> None:
    skip_unless(cut_off=True)
    seen = watch(tmp_path, sys.executable, "-c", INDISCREET)
    Path("/var/tmp/tinysr-stray").unlink()  # noqa: S108
    assert str(tmp_path / "home" / "id") in seen.strays
    skip_unless(traced=True)
    assert "/var/tmp/tinysr-stray" in seen.strays  # noqa: S108
    assert any("/etc/hosts" in call for call in seen.network)


@pytest.mark.parametrize("package", MEASURES)
def test_each_measure_is_needed(package: str, tmp_path: Path) -> None:
    skip_unless(cut_off=True)
    seen = watch(tmp_path, sys.executable, "-c", f"import {LIBRARIES[package]}")
    assert seen.code == 0, seen.error
    assert seen.network + seen.strays != ()


@pytest.mark.parametrize("package", MEASURES)
def test_each_measure_is_enough(package: str, tmp_path: Path) -> None:
    code = f"from tinysr.quiet import load; load({LIBRARIES[package]!r})"
    check_quiet(watch(tmp_path, sys.executable, "-c", code))


def test_an_export_is_quiet(exported: Watched) -> None:
    check_quiet(exported, "tiny")


@pytest.mark.parametrize(
    "words",
    [
        ("--version",),
        ("doctor",),
        ("inspect", "tiny"),
        ("inspect", "tiny.safetensors"),
        ("parity", "tiny", "--model", "tiny.safetensors"),
        ("bench", "twin", "--rules", "quick"),
    ],
    ids=" ".join,
)
def test_a_command_is_quiet(words: tuple[str, ...], desk: Path, exported: Watched) -> None:
    check_quiet(tinysr(desk, *words))


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_upscaling_is_quiet(backend: str, desk: Path, exported: Watched) -> None:
    result = f"{backend}.png"
    words = ("photo.png", "-o", result, "--bundle", "tiny", "-b", backend)
    check_quiet(tinysr(desk, "upscale", *words), result)


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_somebody_elses_program_is_quiet_and_keeps_its_environment(
    backend: str, desk: Path, exported: Watched, tmp_path: Path
) -> None:
    bundle = desk / "tiny"
    check_quiet(watch(tmp_path, sys.executable, "-c", FOREIGN, bundle, backend))
