"""The NVIDIA GPU of this machine, or why there is none."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

from tinysr.errors import MissingBackendError

__all__ = ["EXTRA", "Gpu", "cuda_runtime", "explain_no_gpu", "find_gpu", "look"]

EXTRA = "rtx"
"""The extra that brings CUDA's Python bindings."""

_MODULE = "cuda.bindings.runtime"


@dataclass(frozen=True, kw_only=True, slots=True)
class Gpu:
    """A device."""

    name: str
    capability: str
    """Compute capability, as 8.6."""
    driver: str
    """Newest CUDA version that the driver knows, as 13.0."""
    memory: int
    """Bytes."""


def cuda_runtime() -> Any:
    """Return CUDA's Python bindings.

    Raises:
        MissingBackendError: they are not installed.
    """
    try:
        return importlib.import_module(_MODULE)
    except ImportError as error:
        raise MissingBackendError(
            f"CUDA's Python bindings can't be imported ({error}): pip install 'tinysr[{EXTRA}]'"
        ) from error


def find_gpu() -> Gpu | None:
    """Return the first device, or None where there is none that can be used."""
    found = look()
    return found if isinstance(found, Gpu) else None


def explain_no_gpu() -> str:
    """Return why no GPU can be used here; empty if one can."""
    found = look()
    return found if isinstance(found, str) else ""


def look() -> Gpu | str:
    """Return the first device, or why none can be used."""
    try:
        cuda = cuda_runtime()
    except MissingBackendError:
        return "no CUDA bindings for Python"
    fine = cuda.cudaError_t.cudaSuccess
    error, count = cuda.cudaGetDeviceCount()
    if error != fine:
        return f"no NVIDIA driver that can be used: {error.name}"
    if not count:
        return "no NVIDIA GPU"
    (error, properties), (other, driver) = (
        cuda.cudaGetDeviceProperties(0), cuda.cudaDriverGetVersion()
    )  # fmt: skip
    if error != fine or other != fine:
        return f"an NVIDIA GPU that can't be used: {(error if error != fine else other).name}"
    name = properties.name
    return Gpu(
        name=(name.decode() if isinstance(name, bytes) else str(name)).strip("\0"),
        capability=f"{properties.major}.{properties.minor}",
        driver=f"{driver // 1000}.{driver % 1000 // 10}",
        memory=int(properties.totalGlobalMem),
    )
