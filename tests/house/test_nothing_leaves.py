"""Nothing leaves the machine, and no file lies where none is expected: of every command, traced."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import pytest
from PIL import Image

from tests.support.bundles import make_bundle
from tests.support.tiny_models import TILE, tiny_model
from tests.support.watching import PROGRAM, Watched, skip_unless, watch
from tinysr.models.families.tinysr.single_file import save_single_file
from tinysr.quiet import MEASURES

LIBRARIES = {
    "matplotlib": "matplotlib.figure",
    "onnxruntime": "onnxruntime",
    "onnxsim": "onnxsim",
    "openvino": "openvino",
}
"""A module of each package that has a measure, whose import does what the measure is against."""

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
    Image.new("RGB", (TILE, TILE), "teal").save(desk / "photo.png")
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
    return watch(Path(tempfile.mkdtemp(dir=desk.parent)), PROGRAM, *words, work=desk)


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
    code = f"from tinysr.quiet import load; load({package!r}); import {LIBRARIES[package]}"
    check_quiet(watch(tmp_path, sys.executable, "-c", code))


def test_an_export_is_quiet(exported: Watched) -> None:
    check_quiet(exported, "tiny")


@pytest.mark.parametrize(
    "words",
    [
        ("--version",),
        ("doctor",),
        ("inspect", "tiny"),
        pytest.param(("inspect", "tiny.safetensors"), marks=pytest.mark.slow),
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


RECIPE = """
stage = "teacher"
optim = { steps = 2, learning_rate = 1e-4, final_rate = 1e-6, warmup = 1 }
phases = [{ patch = 32, batch = 2 }]
data = { image_side = 64, pool = 2, refresh = 2 }

[options.model]
width = 32
depth = 2
heads = 1
pooled_size = 8
separable_encoder = false
encoder_blocks = [1, 1, 1, 1]
decoder_blocks = [1, 1, 1, 1]
"""


@pytest.mark.slow
@pytest.mark.timeout(3600)
class TestRest:
    """What takes minutes: the rarer commands, all targets, and a newcomer's first three."""

    def test_a_newcomer_is_alone(self, desk: Path) -> None:
        bundle = "bundles/tinysr-nano"
        check_quiet(tinysr(desk, "doctor"))
        check_quiet(tinysr(desk, "export", "tinysr-nano", "-o", bundle), "bundles")
        check_quiet(
            tinysr(desk, "upscale", "photo.png", "-o", "photo-x4.png", "--bundle", bundle),
            "photo-x4.png",
        )

    @pytest.mark.parametrize("target", ["coreml", "coreai", "tensorrt"])
    def test_every_target_is_quiet(self, target: str, desk: Path) -> None:
        kind = ("--tile", str(TILE), "-t", target, "--precision", "fp16", "--no-gate")
        settings = ("--minimum-deployment-target", "iOS18") if target == "coreml" else ()
        made = tinysr(desk, "export", "tiny.safetensors", "-o", target, *kind, *settings)
        check_quiet(made, target)
        if target == "tensorrt":  # there may be no GPU to run it
            return
        result = f"{target}.png"
        words = ("photo.png", "-o", result, "--bundle", target, "-b", target)
        check_quiet(tinysr(desk, "upscale", *words), result)
        if target == "coreml":
            check_quiet(tinysr(desk, "residency", target))

    def test_calibrating_and_comparing_are_quiet(self, desk: Path) -> None:
        model = ("--model", "tiny.safetensors")
        words = ("tiny.safetensors", "--tile", str(TILE), "-o", "calibrated")
        check_quiet(tinysr(desk, "calibrate", *words), "calibrated")
        kind = ("--tile", str(TILE), "--precision", "int8", "-o", "int8", "--no-gate")
        check_quiet(tinysr(desk, "export", "tiny.safetensors", *kind), "int8")
        check_quiet(tinysr(desk, "compare", "int8", *model, "-o", "compared"), "compared")

    def test_training_is_quiet(self, desk: Path) -> None:
        (desk / "small.toml").write_text(RECIPE)
        words = ("nano/teacher", "--config", "small.toml", "-o", "run")
        check_quiet(tinysr(desk, "train", *words), "run")
        assert list((desk / "run" / "logs").iterdir())
