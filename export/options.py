"""Options of an export."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tinysr.errors import UnsupportedError, choice_error
from tinysr.manifest import Artifact

from .bake import DEFAULT_TILE
from .plans.files import Plan
from .plans.precision import PrecisionPlan
from .plans.quantization import COREML_PLANS, QUANTIZED, PlanTarget, QuantizationPlan

__all__ = [
    "PRECISIONS",
    "ExportOptions",
    "Finish",
    "Plan",
    "TargetSettings",
    "TellStep",
    "check_precision",
]

PRECISIONS: dict[str, tuple[str, ...]] = {
    "fp32": ("fp32",),
    "fp16": ("fp32", "fp16"),
    "int8": ("fp32", "int8"),
    "w8": ("fp32", "w8"),
    "w6": ("fp32", "w6"),
    "w4": ("fp32", "w4"),
    "all": ("fp32", "fp16", *QUANTIZED),
}
"""Precisions that can be asked for, and those that a bundle then holds."""

_PLANS: dict[str, tuple[str, ...]] = {"fp32": (), "int8": ("fp16", "int8"), "w6": ()}
"""The plans that a precision needs in graphs, where that is not its own alone: what int8 leaves
over is in fp16; graphs have no w6."""

_COREML = "coreml"
"""The target with plans of its own, for formats of its own. It computes in fp16 whatever its
weights are in, and needs the plan for it."""


TellStep = Callable[[str], None]
"""Callback, called with a few words when a step begins."""

Finish = Callable[[], tuple[Artifact, ...]]
"""The part of a build that needs the PyTorch model no more; by then its memory is free."""


TargetSettings = Mapping[str, object]
"""Options of single targets, by the target's name; a target knows its own kind."""


def check_precision(name: str) -> None:
    """Refuse a precision that nothing can be exported in.

    Raises:
        UnsupportedError: it is none of :data:`PRECISIONS`.
    """
    if name not in PRECISIONS:
        raise choice_error("precision", name, PRECISIONS)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportOptions:
    """Settings that shape every artifact of a bundle."""

    targets: tuple[str, ...] = ("onnx",)
    precision: str = "fp32"
    """One of :data:`PRECISIONS`."""
    plan: PrecisionPlan | None = None
    """Plan of the modules that stay wide: needed for fp16 and int8, and refused without it."""
    quantization: tuple[QuantizationPlan, ...] = ()
    """One for each quantized precision, Core ML's apart: needed for it, and refused without it."""
    tile: int = DEFAULT_TILE
    """Side of a tile in low-resolution pixels."""
    batch: int | None = 1
    """Tiles that the transformer and upscale graphs take at once; any number when None."""
    settings: TargetSettings = field(default_factory=dict)
    """Settings that only one of the targets is asked."""

    def __post_init__(self) -> None:
        check_precision(self.precision)
        for plan in self.plans:
            self._check(plan)
        names = [plan.name for plan in self.plans]
        if len(set(names)) != len(names):
            raise UnsupportedError(f"expected one plan for each precision, found {names}")
        if self.batch is not None and self.batch < 1:
            raise UnsupportedError(
                f"expected a batch of at least 1 or 'dynamic', found {self.batch}"
            )

    @property
    def plans(self) -> tuple[Plan, ...]:
        """All plans."""
        return (*([self.plan] if self.plan else []), *self.quantization)

    def plan_for(self, precision: str, target: PlanTarget = "onnx") -> Plan | None:
        """Return the plan of a precision, when there is one.

        Args:
            precision: one of a bundle's.
            target: whose formats a quantization plan is for.
        """
        own = COREML_PLANS if target == _COREML else {}
        name = own.get(precision, precision)
        return next((plan for plan in self.plans if plan.name == name), None)

    def list_missing(self) -> tuple[str, ...]:
        """Return the names of the plans that are still needed."""
        have = {plan.name for plan in self.plans}
        return tuple(name for name in self._needed if name not in have)

    @property
    def _needed(self) -> tuple[str, ...]:
        wanted = PRECISIONS[self.precision]
        every: list[str] = []
        if {*self.targets} - {_COREML}:
            every += [name for p in wanted for name in _PLANS.get(p, (p,))]
        if _COREML in self.targets and wanted != ("fp32",):
            own = (COREML_PLANS[name] for name in wanted if name in COREML_PLANS)
            every = ["fp16", *every, *own]
        return tuple(dict.fromkeys(every))

    def _check(self, plan: Plan) -> None:
        if plan.name not in self._needed:
            if plan.precision in PRECISIONS[self.precision]:
                raise UnsupportedError(
                    f"the plan is for {plan.name}: expected plans for {', '.join(self._needed)}, "
                    f"which is what {self.precision} takes in {', '.join(self.targets)}"
                )
            raise UnsupportedError(
                f"a plan says what stays out of {plan.precision}: expected the precision "
                f"{plan.precision}, found {self.precision}"
            )
        if plan.tile != self.tile:
            raise UnsupportedError(
                f"the plan for {plan.precision} was found on tiles of {plan.tile}, and the "
                f"export's are {self.tile}: expected the same; leave --plan out, or make one with "
                f"`tinysr calibrate --tile {self.tile}`"
            )
