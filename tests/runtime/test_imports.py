"""`import tinysr.runtime` is light, and so is everything that runs a bundle."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.bundles import make_bundle

BLOCKED = ("torch", "onnx", "tensorrt", "tensorrt_rtx", "cuda", "coremltools", "coreai", "openvino")

HEAVY = (*BLOCKED, "scipy", "skimage", "safetensors", "onnxruntime", "typer", "rich")

BLOCK = f"""
import sys
for name in {BLOCKED!r}:
    sys.modules[name] = None
"""


def python(code: str, *arguments: str) -> str:
    """Run code in a fresh interpreter and return what it printed."""
    command = [sys.executable, "-c", code, *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_the_runtime_imports_nothing_heavy() -> None:
    code = "import sys, tinysr.runtime; print(*(m for m in sys.modules if '.' not in m))"
    assert not set(HEAVY) & set(python(code).split())


def test_a_bundle_runs_without_torch_and_onnx(tmp_path: Path) -> None:
    code = f"""{BLOCK}
import numpy as np
from tinysr.runtime import Upscaler
with Upscaler(sys.argv[1]) as upscaler:
    print(*upscaler.upscale(np.zeros((40, 70, 3), np.uint8)).shape)
"""
    bundle = make_bundle(tmp_path / "twin")
    assert python(code, str(bundle)).split() == ["160", "280", "3"]


def test_the_commands_that_run_bundles_import_nothing_heavy() -> None:
    code = f"""{BLOCK}
import tinysr.cli.upscale, tinysr.cli.doctor
from tinysr.cli.doctor import backend_rows
print(*(row.name + "=" + str(row.ready) for row in backend_rows() if row.provider in ("", "cpu")))
"""
    assert python(code).split() == [
        "tensorrt=False",
        "openvino=False",
        "onnxruntime=True",
        "coreai=False",
        "eager=False",
    ]
