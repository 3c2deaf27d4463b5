"""The functions of a package, and the names of what goes in and out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tinysr.manifest import Stage

from ..onnx.graph import stage_input, stage_output

__all__ = ["FUNCTIONS", "PACKAGE", "FunctionPorts", "package_name"]

PACKAGE = "TinySR"

Kind = Literal["image", "latents"]


@dataclass(frozen=True, kw_only=True, slots=True)
class FunctionPorts:
    """One function: the stage it computes, its input and its output."""

    stage: Stage
    name: str
    takes: Kind
    gives: Kind

    @property
    def input(self) -> str:
        """The input's name."""
        return stage_input(self.stage)

    @property
    def output(self) -> str:
        """The output's name."""
        return stage_output(self.stage)


FUNCTIONS: tuple[FunctionPorts, ...] = (
    FunctionPorts(stage="upscale", name="upscale", takes="image", gives="image"),
    FunctionPorts(stage="encoder", name="encode", takes="image", gives="latents"),
    FunctionPorts(stage="transformer", name="transform", takes="latents", gives="latents"),
    FunctionPorts(stage="decoder", name="decode", takes="latents", gives="image"),
)
"""The first is what an app gets that names none."""


def package_name(precision: str) -> str:
    """Return the package's file name in a bundle; fp16 is the one that apps take."""
    suffix = "" if precision == "fp16" else f".{precision}"
    return f"{PACKAGE}{suffix}.mlpackage"
