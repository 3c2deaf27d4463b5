"""Networks that are code: Python functions and .pt2 files, by way of an ONNX file.

Both may run anything: a function is code, and PyTorch reads .pt2 files with pickle. So they are
opened only where the user says that they are trusted.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tinysr import paths
from tinysr.errors import CheckpointError, UnsupportedError, require
from tinysr.terminal.children import run_child

from .config import CustomConfig
from .read_onnx import OnnxFile, read_onnx

__all__ = ["open_foreign"]

_MOST_BYTES = 8 * 2**30
"""Largest .pt2 file."""

_WORDS = 300
"""Characters of what an export said last, in an error."""


@contextmanager
def open_foreign(config: CustomConfig, folder: Path, *, trust: bool) -> Iterator[OnnxFile]:
    """Yield a network as what its ONNX file holds, which is gone afterwards.

    Args:
        config: names a function or a .pt2 file.
        folder: of the TOML file: the function's module may lie in it.
        trust: whether the user allows the code to run.

    Raises:
        UnsupportedError: it is not trusted, or can't be exported.
        CheckpointError: the file is missing or huge.
    """
    source = config.callable or str(folder / (config.file or ""))
    if not trust:
        raise UnsupportedError(
            f"{source} may run any code: allow it with --trust-code if you trust it, or export "
            "the network as ONNX"
        )
    if config.callable is None:
        path = Path(source)
        if not paths.is_file(path, CheckpointError):
            raise CheckpointError(f"{path}: expected a .pt2 file, found nothing")
        if paths.size(path, CheckpointError) > _MOST_BYTES:
            raise CheckpointError(f"{path}: expected at most {_MOST_BYTES // 2**30} GiB")
    require("onnxscript", extra="export")
    with TemporaryDirectory(prefix="tinysr-") as temporary:
        result = Path(temporary) / "network.onnx"
        _export(config, source, folder, result)
        file = read_onnx(result)
        if config.side is None and any(
            side is not None for port in file.inputs for side in (port.shape or ())[2:]
        ):
            raise UnsupportedError(
                f'{source}: it can be exported for one size alone: state division = "tiles" and a '
                "side"
            )
        yield file


def _export(config: CustomConfig, source: str, folder: Path, result: Path) -> None:
    module = f"{__package__}.export_foreign"
    side = str(config.side or 0)
    words = [str(folder.absolute()), source, str(result), side, str(config.multiple_of)]
    ended = run_child([sys.executable, "-m", module, *words])
    if not ended.returncode:
        return
    lines = ended.stderr.strip().splitlines() or ["it says nothing"]
    reason = "".join(letter for letter in lines[-1] if letter.isprintable())
    how = f" ({signal.Signals(-ended.returncode).name})" if ended.returncode < 0 else ""
    raise UnsupportedError(
        f"{source}: it can't be exported to ONNX{how}: {reason[:_WORDS]}: export it yourself, and "
        "give the file"
    )
