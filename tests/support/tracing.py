"""Models traced once in a run of tests: it takes seconds, and most tests trace the same one."""

from __future__ import annotations

import contextlib
import copy
import functools
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import onnx
import pytest
from torch import Tensor, nn

from tinysr.calibration.traced.trace import Trace, trace
from tinysr.export import BakedTinySR
from tinysr.export.onnx.graph import StageGraph, export_stage
from tinysr.stages import StageName


def shared_folder(factory: pytest.TempPathFactory) -> Path:
    """Return a folder of this run that all of its workers have."""
    own = factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "traced"
    folder.mkdir(exist_ok=True)
    return folder


class Traced:
    """``export_stage`` that reads a graph which an equal model gave before in this run.

    That equal models give equal graphs is what `tests/export/onnx/test_repeats.py` holds, against
    another process, which traces by itself.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(
        self, model: BakedTinySR, stage: StageName, *, tile: int, batch: int | None
    ) -> StageGraph:
        of = batch if stage == "transformer" else None  # the others take any number
        key = hashlib.sha256(f"{fingerprint(model)} {stage} {tile} {of}".encode()).hexdigest()
        held = self._folder / key
        if held.exists():
            names, _, proto = held.read_bytes().partition(b"\n")
            return StageGraph(
                stage=stage,
                model=onnx.ModelProto.FromString(proto),
                weights=tuple(names.decode().split()),
            )
        with one_reading():
            made = export_stage(model, stage, tile=tile, batch=batch)
        new = held.with_suffix(f".{os.getpid()}")
        new.write_bytes(" ".join(made.weights).encode() + b"\n" + made.model.SerializeToString())
        new.replace(held)
        return made


@contextlib.contextmanager
def one_reading() -> Iterator[None]:
    """Let PyTorch read its translations to ONNX once, not for each graph: a fifth of the time."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry  # takes a second

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ONNXRegistry, "from_torchlib", staticmethod(reader()))
        yield


@functools.cache
def reader() -> Callable[..., Any]:
    """Return what reads the translations, and keeps them."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    return functools.cache(ONNXRegistry.from_torchlib)


class TakenApart:
    """``trace`` that gives a model's operations again where an equal model was taken apart."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, int], Trace] = {}

    def __call__(self, model: BakedTinySR, tile: int) -> Trace:
        key = fingerprint(model), tile
        if key not in self._held:
            # A test may change its model later; the weights in the trace are the model's own.
            self._held[key] = trace(copy.deepcopy(model), tile)
        return self._held[key]


def fingerprint(model: nn.Module) -> str:
    """Return a hash of a model's modules, of all that they hold, and of every tensor.

    Whether it trains is left out: an export sets that itself, and nothing here depends on it.
    """
    digest = hashlib.sha256()
    for path, module in model.named_modules(remove_duplicate=False):
        digest.update(f"\n{path} {type(module).__module__}.{type(module).__qualname__}".encode())
        tensors = {**module._parameters, **module._buffers}
        for name, value in {**vars(module), **tensors}.items():
            if isinstance(value, Tensor):
                digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
                digest.update(value.detach().contiguous().numpy().tobytes())
            elif name not in ("training", "_parameters", "_buffers", "_modules"):
                digest.update(f"{name}={value!r}".encode())
    return digest.hexdigest()
