"""One folder with all that the check needs, for a machine without a network.

    python -m tinysr.benchmarks.gpu_check.folder build/gpu-check bundles/tinysr-nano-fp16

PyTorch with CUDA is the one thing that the machine brings itself; without it the rows of the
eager model say so.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from tinysr import paths
from tinysr.atomic import temporary_folder
from tinysr.errors import BundleError, UnsupportedError
from tinysr.export.files import check_target
from tinysr.runtime.bundle import Bundle
from tinysr.terminal import Output, program, run_child

from .__main__ import BUNDLES

__all__ = ["SCRIPT", "gather", "main"]

ROOT = paths.follow_links(Path(__file__)).parents[2]

_BESIDE = ("onnx", "onnxscript", "onnxsim", "jinja2", "scikit-image", "safetensors")
"""Packages that parity and builds take beside PyTorch, which the machine has in its own version."""

SCRIPT = """\
#!/bin/sh
# Everything comes from this folder; PyTorch with CUDA from the machine's own Python.
set -eu
cd "$(dirname "$0")"
PYTHON="${{PYTHON:-python3}}"
"$PYTHON" -m venv --system-site-packages venv
venv/bin/pip install --quiet --no-index --find-links wheels 'tinysr[rtx]' {beside}
exec venv/bin/python -m tinysr.benchmarks.gpu_check {bundles} --json gpu-check.json
"""


def gather(target: Path, bundles: Sequence[Path], python: str = sys.executable) -> None:
    """Make the folder: wheels for a Python of that version, bundles, and the script.

    Args:
        target: a folder that is not there yet, or an empty one.
        bundles: with graphs in fp16; engines may be in them.
        python: a Python of the version that the machine has.

    Raises:
        BundleError: a bundle is damaged, or the folder is taken.
        UnsupportedError: the wheels can't be made.
    """
    check_target(target, overwrite=False)
    for folder in bundles:
        bundle = Bundle(folder)
        for artifact in bundle.artifacts():
            bundle.path(artifact)
    try:
        with temporary_folder(target) as work:
            _wheels(work / "wheels", python)
            for folder in bundles:
                shutil.copytree(folder, work / "bundles" / folder.name)
            names = " ".join(f"'bundles/{folder.name}'" for folder in bundles)
            script, text = work / "run.sh", SCRIPT.format(beside=" ".join(_BESIDE), bundles=names)
            script.write_text(text, encoding="utf-8")
            script.chmod(0o755)
            work.chmod(0o755)
            if paths.exists(target, BundleError):
                target.rmdir()
            work.rename(target)
    except OSError as error:
        raise BundleError(f"{target}: can't be written: {paths.reason(error)}") from error


def _wheels(folder: Path, python: str) -> None:
    command = [python, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(folder)]
    command += ["--constraint", str(ROOT / "constraints.txt"), f"{ROOT}[rtx]", *_BESIDE]
    done = run_child(command)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["pip gives no reason"]
        raise UnsupportedError(f"the wheels can't be made: {last[0]}")


@program
def main(arguments: Sequence[str] | None = None) -> int:
    """Gather the folder; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tinysr.benchmarks.gpu_check.folder")
    parser.add_argument("target", type=Path)
    parser.add_argument("bundles", type=Path, nargs="*", default=list(BUNDLES))
    parser.add_argument("--python", default=sys.executable, help="a Python of the version there")
    words = parser.parse_args(arguments)
    gather(words.target, words.bundles, words.python)
    made = paths.files_below(words.target, BundleError)
    size = sum(paths.size(path, BundleError) for path in made)
    Output().line(f"Wrote {words.target}, {size / 1e6:.0f} MB: run {words.target}/run.sh there")
    return 0


if __name__ == "__main__":
    sys.exit(main())
