"""The two libraries that build engines, and what each of them has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tinysr.errors import MissingBackendError, UnsupportedError, choice_error
from tinysr.runtime.tensorrt.device import find_gpu
from tinysr.runtime.tensorrt.library import LIBRARIES, Library

from .options import AUTO, CURRENT, PORTABLE, TensorRTOptions

__all__ = ["FLAVORS", "Flavor", "find_flavor", "needs_gpu"]

_CAPABILITY = "compute capability"


@dataclass(frozen=True, kw_only=True, slots=True)
class Flavor:
    """One of the libraries, as a builder. They differ in what they lack."""

    library: Library
    lacks: Callable[[TensorRTOptions], str]
    """Says what is asked for and not there, with the reason; empty when all is there."""

    @property
    def name(self) -> str:
        """As in the manifest."""
        return self.library.flavor

    @property
    def title(self) -> str:
        """What people call it."""
        return self.library.title

    @property
    def module(self) -> Any:
        """The library's Python module."""
        return self.library.load()

    @property
    def version(self) -> str:
        """Its version, without importing it."""
        return self.library.version

    @property
    def label(self) -> str:
        """Its title and version, for messages."""
        return f"{self.title} {self.version}"

    def check(self, options: TensorRTOptions) -> None:
        """Refuse options that it does not have.

        Raises:
            UnsupportedError: with the reason.
            MissingBackendError: a GPU is needed for one, and there is none.
        """
        if problem := self.lacks(options):
            raise UnsupportedError(f"{self.title} {problem}")
        needing = _list_needing_gpu(self.name, options)
        if needing and find_gpu() is None:
            raise MissingBackendError(
                f"{self.title} builds {needing[0]} on a machine with an NVIDIA GPU, found none: "
                "leave the option out, or build there"
            )


def find_flavor(name: str) -> Flavor:
    """Return a flavour that is installed.

    `auto` takes TensorRT where there is a GPU to build for, else TensorRT-RTX.

    Raises:
        UnsupportedError: there is none of this name.
        MissingBackendError: it is not installed.
    """
    if name != AUTO:
        if name not in FLAVORS:
            raise choice_error("flavor", name, (AUTO, *FLAVORS))
        found = FLAVORS[name]
        if not found.library.installed:
            raise MissingBackendError(f"{found.title} is not installed: {found.library.remedy}")
        return found
    full, rtx = FLAVORS["tensorrt"], FLAVORS["rtx"]
    if full.library.installed and find_gpu() is not None:
        return full
    if rtx.library.installed:
        return rtx
    raise MissingBackendError(
        f"neither {full.title} with a GPU nor {rtx.title} is here: {rtx.library.remedy}"
    )


def needs_gpu(flavor: Flavor, options: TensorRTOptions) -> bool:
    """Say whether a GPU takes part in a build."""
    return bool(_list_needing_gpu(flavor.name, options))


def _full_lacks(options: TensorRTOptions) -> str:
    wanted = [c for c in options.compute_capabilities if c != CURRENT]
    if wanted:
        return (
            f"builds for this machine's GPU, not for the {_CAPABILITY} {wanted[0]}: "
            "ask for --hardware-compatibility, or for the flavor rtx"
        )
    if options.strip and not options.refit:
        return "strips weights only from engines that can be refitted: add --refit"
    return ""


def _rtx_lacks(options: TensorRTOptions) -> str:
    known = {name.removeprefix("SM") for name in _RTX_CAPABILITIES}
    for capability in options.compute_capabilities:
        number = capability.replace(".", "")
        if capability not in (PORTABLE, CURRENT) and number not in known:
            have = ", ".join(f"{name[2:-1]}.{name[-1]}" for name in _RTX_CAPABILITIES)
            return (
                f"has no {_CAPABILITY} {capability}: expected some of {have}, "
                f"or {PORTABLE} or {CURRENT}"
            )
    if options.hardware != "none":
        return (
            "has no hardware compatibility levels, because its engines run on several GPUs "
            "anyway: ask for --compute-capability"
        )
    if options.optimization_level is not None:
        return (
            "has no optimisation levels, because it looks for tactics when an engine is first "
            "run: leave --optimization-level out"
        )
    if options.timing_cache is not None:
        return "measures no tactics when it builds, so it has no timing cache: leave it out"
    if options.version_compatible:
        return (
            "has no version-compatible engines, because its wheel lacks the lean runtime: leave "
            "--version-compatible out, and build again for another version"
        )
    return ""


_RTX_CAPABILITIES = ("SM75", "SM80", "SM86", "SM89", "SM120", "SM121")


def _list_needing_gpu(flavor: str, options: TensorRTOptions) -> list[str]:
    if flavor == "tensorrt":
        return ["engines"]
    wanted = {
        "stripped engines": options.strip,
        "engines that can be refitted": options.refit,
        f"for the {_CAPABILITY} '{CURRENT}'": CURRENT in options.compute_capabilities,
    }
    return [name for name, asked in wanted.items() if asked]


_LACKS: dict[str, Callable[[TensorRTOptions], str]] = {"tensorrt": _full_lacks, "rtx": _rtx_lacks}

FLAVORS: dict[str, Flavor] = {
    library.flavor: Flavor(library=library, lacks=_LACKS[library.flavor]) for library in LIBRARIES
}
