"""A quantization plan: which layers keep more bits, and the ranges that int8 is made with.

The sibling of the precision plan (:mod:`.precision`), in TOML, to be read and edited. Every layer
with enough weights computes in the plan's ``precision`` but those it keeps. In ``int8``, a layer
without a range is not quantized either; its range is the largest input that is told apart from
larger ones.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from tinysr.errors import CalibrationError

from .precision import PlanRecord, matching, quoted, read_plan

__all__ = [
    "QUANTIZED",
    "Equalised",
    "Format",
    "KeptLayer",
    "QuantizationPlan",
    "load_quantization",
    "quantization_text",
]

Format = Literal["int8", "w8", "w4"]
"""int8: weights and activations; w8 and w4: weights only, in blocks."""

QUANTIZED: tuple[Format, ...] = ("int8", "w8", "w4")

_HEADER = """\
# TinySR quantization plan. Every layer is in {precision}, but those kept below.
# "name.*" keeps a module and everything in it.
# After an edit: tinysr calibrate MODEL --precision {precision} --check THIS_FILE
"""


def _positive(value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"expected a range above 0, found {value:g}")
    return value


class KeptLayer(PlanRecord):
    """A layer, or all of a module, that is kept out of the plan's precision."""

    module: str
    """A dotted path in the baked model, with ``.*`` for everything in it."""
    precision: Literal["fp32", "w8"] = "fp32"
    reason: str = ""


class Equalised(PlanRecord):
    """A layer whose input channels are brought closer to one size."""

    module: str
    exponents: tuple[Annotated[int, Field(ge=-30, le=30)], ...]
    """Channel c of its input is divided by 2**exponents[c], before it is quantized; the weights
    that read it are multiplied by it. Powers of two change no digit."""


class QuantizationPlan(PlanRecord):
    """The decision for one checkpoint at one tile size."""

    version: Literal[1] = 1
    model_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    tile: int = Field(ge=16)
    precision: Format
    method: str = ""
    """How the ranges were found."""
    keep: tuple[KeptLayer, ...] = ()
    ranges: dict[str, Annotated[float, AfterValidator(_positive)]] = Field(default_factory=dict)
    """Of layers' inputs, by the layer: -range to range becomes -127 to 127. Only for int8."""
    equalise: tuple[Equalised, ...] = ()

    @property
    def sha256(self) -> str:
        """The hash of :func:`quantization_text`, which is what a bundle holds."""
        return hashlib.sha256(quantization_text(self).encode()).hexdigest()

    def formats(self, layers: Collection[str]) -> dict[str, Format]:
        """Return the formats of the layers that are quantized.

        Args:
            layers: the model's layers that can be quantized, by their paths.

        Raises:
            CalibrationError: the plan names a layer that the model does not have or that is too
                small, one twice in different precisions, or int8 lacks a range.
        """
        kept: dict[str, str] = {}
        for entry in self.keep:
            if entry.precision == "w8" and self.precision != "w4":
                raise CalibrationError(
                    f"the plan keeps '{entry.module}' in w8, which only helps w4: expected fp32 in "
                    f"a plan for {self.precision}"
                )
            for path in matching(entry.module, layers, "layer"):
                if kept.setdefault(path, entry.precision) != entry.precision:
                    raise CalibrationError(
                        f"the plan keeps '{path}' in {kept[path]} and in {entry.precision}: "
                        "leave one of the two"
                    )
        for name in (*self.ranges, *(entry.module for entry in self.equalise)):
            matching(name, layers, "layer")
        formats: dict[str, Format] = {}
        for path in layers:
            precision = kept.get(path, self.precision)
            if precision == "int8" and path not in self.ranges:
                raise CalibrationError(
                    f"the plan has no range for '{path}': expected one in [ranges], or the layer "
                    "kept in fp32"
                )
            if precision != "fp32":
                formats[path] = "w8" if precision == "w8" else self.precision
        return formats

    def for_model(self, sha256: str) -> QuantizationPlan:
        """Return the plan, once it is known to be that of a model.

        Raises:
            CalibrationError: it was found for another one.
        """
        if sha256 != self.model_sha256:
            raise CalibrationError(
                f"the {self.precision} plan is of another model: expected SHA-256 {sha256[:12]}…, "
                f"found {self.model_sha256[:12]}…; leave --plan out, and one is found"
            )
        return self


def load_quantization(path: Path) -> QuantizationPlan:
    """Read a plan.

    Raises:
        CalibrationError: it can't be read, is no TOML, or does not fit.
    """
    return read_plan(path, QuantizationPlan)


def quantization_text(plan: QuantizationPlan) -> str:
    """Return a plan as TOML; the same plan gives the same text."""
    lines = [
        _HEADER.format(precision=plan.precision),
        f"version = {plan.version}",
        f"model_sha256 = {quoted(plan.model_sha256)}",
        f"tile = {plan.tile}",
        f"precision = {quoted(plan.precision)}",
    ]
    lines += [f"method = {quoted(plan.method)}"] if plan.method else []
    for kept in plan.keep:
        lines += ["", "[[keep]]", f"module = {quoted(kept.module)}"]
        lines += [f"precision = {quoted(kept.precision)}"]
        lines += [f"reason = {quoted(kept.reason)}"] if kept.reason else []
    for entry in plan.equalise:
        lines += ["", "[[equalise]]", f"module = {quoted(entry.module)}"]
        lines += [f"exponents = {list(entry.exponents)}"]
    if plan.ranges:
        lines += ["", "[ranges]"]
        lines += [f"{quoted(path)} = {float(value)!r}" for path, value in plan.ranges.items()]
    return "\n".join(lines) + "\n"
