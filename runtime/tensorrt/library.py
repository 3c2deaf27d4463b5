"""The two libraries that run engines, found by the name that the manifest gives."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from typing import Any

from tinysr.errors import BundleError, MissingBackendError
from tinysr.facts import TensorRTFacts
from tinysr.manifest import Artifact

__all__ = ["LIBRARIES", "Library", "find_library"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Library:
    """TensorRT or TensorRT-RTX."""

    flavor: str
    """Flavour of the library, as in the manifest: tensorrt or rtx."""
    title: str
    package: str
    """The module and its distribution."""
    remedy: str

    @property
    def installed(self) -> bool:
        """Whether it can be imported; it is not."""
        return importlib.util.find_spec(self.package) is not None

    @property
    def version(self) -> str:
        """Its version, without importing it."""
        return importlib.metadata.version(self.package)

    def load(self) -> Any:
        """Import it.

        Raises:
            MissingBackendError: it is not installed, or does not start.
        """
        try:
            return importlib.import_module(self.package)
        except (ImportError, OSError) as error:
            raise MissingBackendError(
                f"{self.title} can't be imported ({error}): {self.remedy}"
            ) from error


LIBRARIES: tuple[Library, ...] = (
    Library(
        flavor="tensorrt",
        title="TensorRT",
        package="tensorrt",
        remedy="pip install tensorrt, on a machine with an NVIDIA GPU",
    ),
    Library(
        flavor="rtx",
        title="TensorRT-RTX",
        package="tensorrt_rtx",
        remedy="pip install 'tinysr[rtx]'",
    ),
)


def find_library(artifact: Artifact) -> Library:
    """Return the library that built an engine.

    Raises:
        BundleError: the manifest does not say, or names none that is known.
    """
    flavor = artifact.facts(TensorRTFacts).flavor
    for library in LIBRARIES:
        if library.flavor == flavor:
            return library
    known = ", ".join(library.flavor for library in LIBRARIES)
    raise BundleError(f"{artifact.label}: expected a flavor among {known}, found {flavor!r}")
