"""An engine's file → an engine on this device, or the reason why it does not run here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tinysr.errors import BundleError, MissingBackendError
from tinysr.facts import TensorRTFacts
from tinysr.manifest import Artifact

from .device import find_gpu
from .library import Library, find_library
from .log import Messages, make_logger

__all__ = ["Engine", "explain_unfit", "load_engine"]

_AGAIN = "build it again with `tinysr export BUNDLE -t tensorrt`"

_WORDS = {
    "VERSION_MISMATCH": "it was built with another version of TensorRT-RTX",
    "UNSUPPORTED_CC": "it was built for other GPUs",
    "OLD_CUDA_DRIVER": "the NVIDIA driver here is too old",
    "OLD_CUDA_RUNTIME": "the CUDA runtime here is too old",
    "INSUFFICIENT_GPU_MEMORY": "the GPU has too little memory",
    "MALFORMED_ENGINE": "the file is not an engine, or it was cut short",
    "CUDA_ERROR": "CUDA does not work here",
}

_HEADER = 64
"""Bytes that TensorRT-RTX reads of an engine to judge it, unless it says another number."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Engine:
    """An engine that is loaded."""

    library: Library
    module: Any
    """The library's Python module."""
    engine: Any
    runtime: Any
    """Lives as long as the engine."""
    messages: Messages


def explain_unfit(artifact: Artifact, path: Path) -> str:
    """Return why an engine does not run on this machine; empty if it should.

    The file's header is read, and nothing is loaded onto the device.

    Raises:
        BundleError: the manifest does not say what built it.
    """
    library = find_library(artifact)
    if not library.installed:
        return f"{library.title} is not installed: {library.remedy}"
    if problem := _explain_version(artifact, library):
        return problem
    if library.flavor == "rtx":
        module = library.load()
        return _explain_invalid(module, module.Runtime(make_logger(module, Messages())), path)
    return _explain_gpu(artifact)


def load_engine(artifact: Artifact, path: Path) -> Engine:
    """Load an engine, once it is known to fit.

    Raises:
        BundleError: it is damaged, or of another version or GPU.
        MissingBackendError: the library is not here.
    """
    library = find_library(artifact)
    module, messages = library.load(), Messages()
    if problem := explain_unfit(artifact, path):
        raise BundleError(f"{artifact.label}: {path}: {problem}")
    runtime = module.Runtime(make_logger(module, messages))
    engine = runtime.deserialize_cuda_engine(path.read_bytes())
    if engine is None:
        error = MissingBackendError if messages.lack_of_memory else BundleError
        raise error(
            f"{artifact.label}: {path}: {library.title} {library.version} can't load it "
            f"({messages.first}); {_AGAIN}"
        )
    return Engine(library=library, module=module, engine=engine, runtime=runtime, messages=messages)


def _explain_version(artifact: Artifact, library: Library) -> str:
    facts, here = artifact.facts(TensorRTFacts), library.version
    if facts.version == here or facts.version_compatible:
        return ""
    return f"it was built with {library.title} {facts.version}, found {here} here; {_AGAIN}"


def _explain_gpu(artifact: Artifact) -> str:
    """Compare GPUs where the library can't judge a file: full TensorRT only tries."""
    facts, here = artifact.facts(TensorRTFacts), find_gpu()
    if here is None or f"{here.name} ({here.capability})" == facts.gpu:
        return ""
    same = facts.hardware == "same-compute-capability" and f"({here.capability})" in facts.gpu
    ampere = facts.hardware == "ampere+" and float(here.capability) >= 8.0
    if same or ampere:
        return ""
    return f"it was built on {facts.gpu}, found {here.name} here; {_AGAIN}"


def _explain_invalid(module: Any, runtime: Any, path: Path) -> str:
    try:
        with path.open("rb") as file:
            header = file.read(int(getattr(runtime, "engine_header_size", _HEADER)))
    except OSError as error:
        return f"{path}: {error.strerror}"
    validity, diagnostics = runtime.get_engine_validity(header)
    if validity != module.EngineValidity.INVALID:
        return ""
    reasons = "; ".join(_reasons(module, int(diagnostics))) or "TensorRT-RTX gives no reason"
    return f"{reasons}; {_AGAIN}"


def _reasons(module: Any, diagnostics: int) -> Iterator[str]:
    for name, words in _WORDS.items():
        if diagnostics & int(getattr(module.EngineInvalidityDiagnostics, name)):
            yield words
