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
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from tinysr.errors import CalibrationError

from .precision import ModelPlan, PlanRecord, list_kept_types, match_modules, quote, read_plan

__all__ = [
    "COREML_PLANS",
    "FORMATS",
    "KEPT_IN",
    "PLANNED",
    "QUANTIZED",
    "Equalised",
    "Format",
    "KeptLayer",
    "KeptPrecision",
    "PlanTarget",
    "QuantizationPlan",
    "load_quantization",
    "quantization_text",
]

Format = Literal["int8", "w8", "w6", "w4"]
"""int8: weights and activations; the others: weights only."""

KeptPrecision = Literal["fp32", "fp16", "w8", "w6"]

PlanTarget = Literal["onnx", "coreml"]
"""Target whose formats a plan's layers take. onnx: integers in blocks, in graphs and in what is
built from them. coreml: palettes, and integers with a scale for each output."""

FORMATS: tuple[Format, ...] = ("int8", "w8", "w6", "w4")

QUANTIZED: tuple[Format, ...] = ("int8", "w8", "w4")
"""Those of ONNX graphs."""

KEPT_IN: dict[PlanTarget, dict[Format, tuple[KeptPrecision, ...]]] = {
    "onnx": {"int8": ("fp16",), "w8": ("fp32",), "w4": ("fp32", "w8")},
    "coreml": {"w8": ("fp16",), "w6": ("fp16", "w8"), "w4": ("fp16", "w8", "w6")},
}
"""Types in which a layer may be kept, by the plan's precision; the first is that of all other
layers."""

COREML_PLANS: dict[str, str] = {form: f"coreml-{form}" for form in KEPT_IN["coreml"]}
"""Names of Core ML's plans, by their precision."""

PLANNED: dict[str, tuple[PlanTarget, Format]] = {
    **{form: ("onnx", form) for form in KEPT_IN["onnx"]},
    **{COREML_PLANS[form]: ("coreml", form) for form in KEPT_IN["coreml"]},
}
"""Targets and precisions of quantization plans, by the plan's name."""

_HEADER = """\
# TinySR quantization plan. Every layer is in {precision}, but those kept below.
# "name.*" keeps a module and everything in it.
# After an edit: tinysr calibrate MODEL --precision {precision}{target} --check THIS_FILE
"""


def _check_positive(value: float) -> float:
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"expected a range above 0, found {value:g}")
    return value


class KeptLayer(PlanRecord):
    """A layer, or all of a module, that is kept out of the plan's precision."""

    module: str
    """A dotted path in the baked model, with ``.*`` for everything in it."""
    precision: KeptPrecision
    """Type in which the layer is kept: one of :data:`KEPT_IN`."""
    reason: str = ""


class Equalised(PlanRecord):
    """A layer whose input channels are brought closer to one size."""

    module: str
    exponents: tuple[Annotated[int, Field(ge=-30, le=30)], ...]
    """Channel c of its input is divided by 2**exponents[c], before it is quantized; the weights
    that read it are multiplied by it. Powers of two change no digit."""


class QuantizationPlan(ModelPlan):
    """The decision for one checkpoint at one tile size."""

    precision: Format
    target: PlanTarget = "onnx"
    method: str = ""
    """Method by which the ranges were found."""
    keep: tuple[KeptLayer, ...] = ()
    ranges: dict[str, Annotated[float, AfterValidator(_check_positive)]] = Field(
        default_factory=dict
    )
    """Ranges of layers' inputs, by the layer: -range to range becomes -127 to 127. Only for
    int8."""
    equalise: tuple[Equalised, ...] = ()

    @model_validator(mode="after")
    def _check_known(self) -> Self:
        if self.precision not in KEPT_IN[self.target]:
            known = " or ".join(KEPT_IN[self.target])
            raise ValueError(f"expected {known} for {self.target}, found {self.precision}")
        return self

    @property
    def name(self) -> str:
        """The plan's name, of :data:`PLANNED`: its precision, and whose it is but for ONNX's."""
        return self.precision if self.target == "onnx" else COREML_PLANS[self.precision]

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
        allowed = KEPT_IN[self.target][self.precision]
        for entry in self.keep:
            if entry.precision not in allowed:
                raise CalibrationError(
                    f"the plan keeps '{entry.module}' in {entry.precision}: expected "
                    f"{' or '.join(allowed)} in a plan for {self.precision}"
                )
        kept = list_kept_types(((e.module, e.precision) for e in self.keep), layers, "layer")
        for name in (*self.ranges, *(entry.module for entry in self.equalise)):
            match_modules(name, layers, "layer")
        formats: dict[str, Format] = {}
        for path in layers:
            precision: KeptPrecision | Format = kept.get(path, self.precision)
            if precision == "fp32" or precision == "fp16":  # noqa: PLR1714  mypy narrows this one
                continue
            if precision == "int8" and path not in self.ranges:
                raise CalibrationError(
                    f"the plan has no range for '{path}': expected one in [ranges], or the layer "
                    "kept in fp16"
                )
            formats[path] = precision
        return formats


def load_quantization(path: Path) -> QuantizationPlan:
    """Read a plan.

    Raises:
        CalibrationError: it can't be read, is no TOML, or does not fit.
    """
    return read_plan(path, QuantizationPlan)


def quantization_text(plan: QuantizationPlan) -> str:
    """Return a plan as TOML; the same plan gives the same text."""
    lines = [
        _HEADER.format(
            precision=plan.precision, target="" if plan.target == "onnx" else " --target coreml"
        ),
        f"version = {plan.version}",
        f"model_sha256 = {quote(plan.model_sha256)}",
        f"tile = {plan.tile}",
        f"precision = {quote(plan.precision)}",
    ]
    lines += [f"target = {quote(plan.target)}"] if plan.target != "onnx" else []
    lines += [f"method = {quote(plan.method)}"] if plan.method else []
    for kept in plan.keep:
        lines += ["", "[[keep]]", f"module = {quote(kept.module)}"]
        lines += [f"precision = {quote(kept.precision)}"]
        lines += [f"reason = {quote(kept.reason)}"] if kept.reason else []
    for entry in plan.equalise:
        lines += ["", "[[equalise]]", f"module = {quote(entry.module)}"]
        lines += [f"exponents = {list(entry.exponents)}"]
    if plan.ranges:
        lines += ["", "[ranges]"]
        lines += [f"{quote(path)} = {float(value)!r}" for path, value in plan.ranges.items()]
    return "\n".join(lines) + "\n"
