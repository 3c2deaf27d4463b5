"""Cache of the kernels that TensorRT-RTX compiles when an engine first runs."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from tinysr.atomic import write_atomically
from tinysr.errors import TinySRError
from tinysr.user_cache import cache_folder

from .engine import Engine

__all__ = ["RuntimeCache", "find_cache"]


class RuntimeCache:
    """The compiled kernels of one engine, in a file. One that does not fit is made anew."""

    def __init__(self, path: Path | None) -> None:
        """Keep kernels in a file; without one they are compiled each time."""
        self._path = path
        self._cache: Any = None
        self._known = b""

    def attach(self, engine: Engine) -> Any:
        """Return a configuration for an execution context, with the kernels that are known.

        Kernels are compiled for each shape at once: a CUDA graph would keep the first ones.
        """
        config = engine.engine.create_runtime_config()
        strategies = engine.module.DynamicShapesKernelSpecializationStrategy
        config.dynamic_shapes_kernel_specialization_strategy = strategies.EAGER
        self._cache = config.create_runtime_cache()
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._known = self._path.read_bytes()
        if self._known:
            self._cache.deserialize(self._known)  # it judges by itself whether they fit
        config.set_runtime_cache(self._cache)
        return config

    def save(self) -> None:
        """Write the kernels, whole or not at all; a full disk only costs the next start."""
        data = bytes(memoryview(self._cache.serialize()))
        if self._path is None or data == self._known:
            return
        with contextlib.suppress(TinySRError):
            write_atomically(self._path, data, TinySRError)


def find_cache(sha256: str) -> RuntimeCache:
    """Return the cache of an engine by its hash."""
    folder = cache_folder("tensorrt", "kernels")
    return RuntimeCache(None if folder is None else folder / f"{sha256}.bin")
