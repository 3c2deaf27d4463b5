"""The functions of a package, and the names of what goes in and out."""

from __future__ import annotations

from dataclasses import dataclass

from tinysr.chain import Chain
from tinysr.stages import IMAGE, RESULT, WHOLE, Field, StageName

__all__ = ["PACKAGE", "FunctionPorts", "list_functions", "package_name"]

PACKAGE = "TinySR"


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionPorts:
    """One function: the graph it computes, its input and its output."""

    stage: StageName
    """Name of the graph, which is the function's too."""
    reads: Field
    gives: Field
    free: bool
    """Whether it takes images of several sizes."""

    @property
    def name(self) -> str:
        """The function's name."""
        return self.stage

    @property
    def input(self) -> str:
        """The input's name."""
        return self.reads.name

    @property
    def output(self) -> str:
        """The output's name."""
        return self.gives.name

    @property
    def takes_image(self) -> bool:
        """Whether the input is an image, as apps have them."""
        return self.reads.name == IMAGE

    @property
    def gives_image(self) -> bool:
        """Whether the output is one."""
        return self.gives.name == RESULT


def list_functions(chain: Chain) -> tuple[FunctionPorts, ...]:
    """Return the functions of a model; the whole is first: what an app gets that names none."""
    names = dict.fromkeys((WHOLE, *chain.names))
    return tuple(
        FunctionPorts(stage=name, reads=ends[0], gives=ends[1], free=not chain.is_tiled(name))
        for name in names
        if (ends := chain.ends(name))
    )


def package_name(precision: str) -> str:
    """Return the package's file name in a bundle; fp16 is the one that apps take."""
    suffix = "" if precision == "fp16" else f".{precision}"
    return f"{PACKAGE}{suffix}.mlpackage"
