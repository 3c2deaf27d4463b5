"""CoreML packages: on a Mac by Core ML itself, elsewhere by the reference interpreter.

Packages take and give images as apps do: RGB from 0 to 255. Sessions keep to the contract of all
backends: floats in [0, 1]. The interpreter takes and gives the values beside the 8-bit rounding
that Core ML does at the images' border; so what it is held to is the graph, not the rounding.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from tinysr.errors import BundleError, UnsupportedError, require
from tinysr.facts import CoreMLFacts
from tinysr.manifest import Artifact

from ..bundle import Bundle
from ..session import Array, Availability, Backend, RunOptions, Session

__all__ = ["REFERENCE", "CoreMLBackend", "InterpretedSession"]

EXTRA = "coreml"

REFERENCE = "reference interpreter, not the Neural Engine"

_INTERPRETER = "interpreter"
_UNITS = {"all": "ALL", "cpu": "CPU_ONLY", "gpu": "CPU_AND_GPU", "ane": "CPU_AND_NE"}
"""Providers on a Mac, and Core ML's compute units."""

_WHITE = np.float32(255)


class CoreMLBackend(Backend):
    """Runs ML programs."""

    name: ClassVar[str] = "coreml"
    target: ClassVar[str] = "coreml"
    providers: ClassVar[tuple[str, ...]] = (
        tuple(_UNITS) if sys.platform == "darwin" else (_INTERPRETER,)
    )

    def __init__(self, options: RunOptions | None = None) -> None:
        super().__init__(options)
        self._programs: dict[Path, Any] = {}

    def availability(self) -> Availability:
        """Say whether coremltools is installed, and what would compute."""
        needed = ("coremltools", "torch") if self.provider == _INTERPRETER else ("coremltools",)
        missing = [name for name in needed if find_spec(name) is None]
        if missing:
            return Availability(
                ready=False, detail=f"no {missing[0]}", remedy=f"pip install 'tinysr[{EXTRA}]'"
            )
        what = REFERENCE if self.provider == _INTERPRETER else f"Core ML on {self.provider}"
        # Its version without its import, which takes seconds.
        return Availability(ready=True, detail=f"{what}; coremltools {version('coremltools')}")

    def caveat(self) -> str:
        """Say so where the interpreter computes."""
        return REFERENCE if self.provider == _INTERPRETER else ""

    def open(self, bundle: Bundle, artifact: Artifact) -> Session:
        """Open a function of a package, after the hashes of its files were checked.

        Raises:
            BundleError: a file is missing or changed, or is not a package as the manifest says.
            UnsupportedError: the interpreter lacks an operation.
            MissingBackendError: coremltools or PyTorch is not here.
        """
        self.demand()
        file = bundle.path(artifact)
        package = next((p for p in file.parents if p.suffix == ".mlpackage"), None)
        if package is None:
            raise BundleError(f"{artifact.label}: expected a file of an .mlpackage, found {file}")
        function = artifact.facts(CoreMLFacts).function
        if self.provider != _INTERPRETER:
            return _NativeSession(artifact, package, function, _UNITS[self.provider])
        return self._open_interpreted(artifact, package, function)

    def _open_interpreted(self, artifact: Artifact, package: Path, name: str) -> InterpretedSession:
        with _silence_all():
            mil = require("tinysr.runtime.mil", extra=EXTRA)
        if package not in self._programs:  # functions share weights: the file is read once
            self._programs = {package: mil.load_program(package)}
        program = self._programs[package]
        if name not in program.functions:
            raise BundleError(
                f"{artifact.label}: expected the function '{name}' in {package.name}, "
                f"found {sorted(program.functions)}"
            )
        function = program.functions[name]
        _check(artifact, {f.name: f for f in function.features})
        return InterpretedSession(artifact, mil.Interpreter(function), function.features)


class InterpretedSession(Session):
    """A function on the reference interpreter."""

    def __init__(self, artifact: Artifact, interpreter: Any, features: tuple[Any, ...]) -> None:
        super().__init__(artifact)
        self.interpreter = interpreter
        self._images = frozenset(f.name for f in features if f.kind == "image")
        self._shapes = {f.name: f.shapes for f in features if f.shapes}

    def _run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        for name in feeds.keys() & self._shapes.keys():
            if feeds[name].shape not in self._shapes[name]:
                listed = ", ".join(str(list(shape)) for shape in self._shapes[name])
                raise UnsupportedError(
                    f"{self.artifact.label}: expected '{name}' as one of {listed}, "
                    f"found {list(feeds[name].shape)}"
                )
        given = {n: a * _WHITE if n in self._images else a for n, a in feeds.items()}
        results = self.interpreter.run(given)
        return {
            port.name: _unit(results[port.name], port.name in self._images).astype(port.dtype)
            for port in self.artifact.outputs
        }

    def _close(self) -> None:
        self.interpreter = None


class _NativeSession(Session):
    """A function on Core ML itself; macOS only."""

    def __init__(self, artifact: Artifact, package: Path, function: str, units: str) -> None:
        super().__init__(artifact)
        ct = require("coremltools", extra=EXTRA)
        chosen = {} if function == "main" else {"function_name": function}
        try:
            self._model = ct.models.MLModel(
                str(package), compute_units=getattr(ct.ComputeUnit, units), **chosen
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise BundleError(f"{artifact.label}: Core ML can't open it: {error}") from error
        spec = self._model.get_spec().description
        described = next((f for f in spec.functions if f.name == function), spec)
        ports = (*described.input, *described.output)
        self._images = {p.name for p in ports if p.type.WhichOneof("Type") == "imageType"}

    def _run(self, feeds: Mapping[str, Array]) -> dict[str, Array]:
        given = {n: _picture(a) if n in self._images else a for n, a in feeds.items()}
        try:
            results = self._model.predict(given)
        except (RuntimeError, ValueError) as error:
            raise BundleError(f"{self.artifact.label}: Core ML failed on it: {error}") from error
        return {
            port.name: _planes(results[port.name])
            if port.name in self._images
            else np.asarray(results[port.name], port.dtype)
            for port in self.artifact.outputs
        }

    def _close(self) -> None:
        self._model = None


def _check(artifact: Artifact, features: Mapping[str, Any]) -> None:
    """Refuse a function that has other inputs or outputs than the manifest describes."""
    ports = {port.name: port for port in (*artifact.inputs, *artifact.outputs)}
    if features.keys() != ports.keys():
        raise BundleError(
            f"{artifact.label}: expected a function with {sorted(ports)}, found {sorted(features)}"
        )
    for name, port in ports.items():
        shapes = (features[name].shape, *features[name].shapes)
        if features[name].shape and not any(_fits(port.shape, shape) for shape in shapes):
            raise BundleError(
                f"{artifact.label}: expected '{name}' as {list(port.shape)}, "
                f"found {list(features[name].shape)} in the package"
            )


def _fits(port: tuple[int | str, ...], shape: tuple[int, ...]) -> bool:
    pairs = zip(port, shape, strict=False)
    return len(port) == len(shape) and all(isinstance(p, str) or p == s for p, s in pairs)


def _unit(array: Any, image: bool) -> Any:
    return np.asarray(array, np.float32) / _WHITE if image else np.asarray(array)


def _picture(array: Array) -> Any:
    """Return ``[1, 3, H, W]`` in [0, 1] as Core ML takes an image: 8 bits."""
    from PIL import Image  # noqa: PLC0415

    pixels = np.clip(np.rint(array[0].transpose(1, 2, 0) * _WHITE), 0, _WHITE).astype(np.uint8)
    return Image.fromarray(pixels)


def _planes(picture: Any) -> Array:
    pixels = np.asarray(picture.convert("RGB"), np.float32) / _WHITE
    return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])


@cache
def _silence() -> None:
    """Drop coremltools' words about versions it was not tested with, at its import."""
    logging.getLogger("coremltools").setLevel(logging.ERROR)


@contextmanager
def _silence_all() -> Iterator[None]:
    _silence()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
