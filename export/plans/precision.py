"""A precision plan: which modules compute in which floating-point type.

A plan is a small TOML file that people read and edit. Everything computes in its ``precision``
but the modules it keeps. A kept module's *own* operations stay wide, those of the modules inside
it do not: keeping ``transformer.transformer_blocks.7`` keeps the residual sums of that block.
``transformer.transformer_blocks.7.*`` keeps the block and everything in it.
"""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Collection, Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import AfterValidator, Field, ValidationError

from tinysr import paths
from tinysr.errors import CalibrationError
from tinysr.records import StrictRecord

__all__ = [
    "DEFAULT_MARGIN",
    "EVERYTHING_IN",
    "KeptModule",
    "ModelPlan",
    "PlanRecord",
    "PrecisionPlan",
    "Wide",
    "check_margin",
    "list_kept_types",
    "load_plan",
    "match_modules",
    "plan_text",
    "quote",
    "read_plan",
]

DEFAULT_MARGIN = 4.0
"""Factor by which a value may exceed what was measured before fp16 overflows."""

EVERYTHING_IN = ".*"
"""Suffix of a module's name that means: the module and all inside it."""

_MAX_BYTES = 2**20

_COMPUTES = "module that computes"

P = TypeVar("P", bound="PlanRecord")
T = TypeVar("T", bound=str)

_HEADER = """\
# TinySR precision plan. Every module computes in {precision}, but those kept below.
# A kept module keeps its own operations; "name.*" keeps the module and everything in it.
# After an edit: tinysr calibrate MODEL --check THIS_FILE
"""


def check_margin(margin: float) -> float:
    """Return a margin that makes sense.

    Raises:
        ValueError: it is not above 0, or not a number.
    """
    if not (math.isfinite(margin) and margin > 0):
        raise ValueError(f"expected a margin above 0, found {margin:g}")
    return margin


Wide = Literal["fp32"]
"""Types that a plan can keep a module in."""


class PlanRecord(StrictRecord):
    """A part of a plan: what it does not know, it refuses."""


class ModelPlan(PlanRecord):
    """What plans of every precision have."""

    version: Literal[1] = 1
    model_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """The checkpoint it was found for, as in ``Source.sha256``."""
    tile: int = Field(ge=16)
    """Side of the tiles it was found on, in low-resolution pixels."""
    precision: str

    def for_model(self, sha256: str) -> Self:
        """Return the plan, once it is known to be that of a model.

        Raises:
            CalibrationError: it was found for another one.
        """
        if sha256 != self.model_sha256:
            raise CalibrationError(
                f"the {self.precision} plan is of another model: expected SHA-256 {sha256[:12]}…, "
                f"found {self.model_sha256[:12]}…; make one with `tinysr calibrate`"
            )
        return self


class KeptModule(PlanRecord):
    """A module that is kept out of the plan's precision."""

    module: str
    """A dotted path in the baked model, with ``.*`` for everything in it."""
    precision: Wide = "fp32"
    reason: str = ""
    """One sentence with the measured number; for people, not read by anything."""


class PrecisionPlan(ModelPlan):
    """One decision, which every target inherits."""

    precision: Literal["fp16"] = "fp16"
    margin: Annotated[float, AfterValidator(check_margin)] = DEFAULT_MARGIN
    """The largest value outside the kept modules times this is still finite."""
    keep: tuple[KeptModule, ...] = ()

    @property
    def name(self) -> str:
        """The plan's name among a bundle's."""
        return self.precision

    @property
    def sha256(self) -> str:
        """The hash of :func:`plan_text`, which is what a bundle holds."""
        return hashlib.sha256(plan_text(self).encode()).hexdigest()

    def list_wide(self, modules: Collection[str]) -> dict[str, Wide]:
        """Return the kept modules among a model's computing ones, and their types.

        Raises:
            CalibrationError: the plan names a module that the model does not have, that
                computes nothing itself, or twice in different types.
        """
        return list_kept_types(((e.module, e.precision) for e in self.keep), modules)


def load_plan(path: Path) -> PrecisionPlan:
    """Read a plan.

    Raises:
        CalibrationError: it can't be read, is no TOML, or does not fit.
    """
    return read_plan(path, PrecisionPlan)


def read_plan(path: Path, kind: type[P]) -> P:
    """Read a plan of a kind; raises as :func:`load_plan`."""
    try:
        data = tomllib.loads(_plan_bytes(path).decode())
        return kind.model_validate(data)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CalibrationError(f"{path}: expected a plan in TOML: {error}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "the whole file"
        found = f", found {first['input']!r}" if first["type"] == "literal_error" else ""
        raise CalibrationError(f"{path}: at {place}: {first['msg']}{found}") from error


def _plan_bytes(path: Path) -> bytes:
    data = paths.read_limited(path, _MAX_BYTES, CalibrationError)
    if data is None:
        raise CalibrationError(f"{path}: expected a precision plan: No such file or directory")
    return data


def plan_text(plan: PrecisionPlan) -> str:
    """Return a plan as TOML; the same plan gives the same text."""
    lines = [
        _HEADER.format(precision=plan.precision),
        f"version = {plan.version}",
        f"model_sha256 = {quote(plan.model_sha256)}",
        f"tile = {plan.tile}",
        f"precision = {quote(plan.precision)}",
        f"margin = {plan.margin!r}",
    ]
    for entry in plan.keep:
        lines += [
            "",
            "[[keep]]",
            f"module = {quote(entry.module)}",
            f"precision = {quote(entry.precision)}",
        ]
        lines += [f"reason = {quote(entry.reason)}"] if entry.reason else []
    return "\n".join(lines) + "\n"


def list_kept_types(
    entries: Iterable[tuple[str, T]], modules: Collection[str], what: str = _COMPUTES
) -> dict[str, T]:
    """Return the types of all modules that a plan's entries stand for, by their paths.

    Raises:
        CalibrationError: one is in two types; or as :func:`match_modules`.
    """
    found: dict[str, T] = {}
    for name, kept in entries:
        for path in match_modules(name, modules, what):
            if found.setdefault(path, kept) != kept:
                raise CalibrationError(
                    f"the plan keeps '{path}' in {found[path]} and in {kept}: leave one of the two"
                )
    return found


def match_modules(name: str, modules: Collection[str], what: str = _COMPUTES) -> list[str]:
    """Return the modules that a plan's name stands for.

    Raises:
        CalibrationError: there is none; the message says which one is meant.
    """
    whole = name.endswith(EVERYTHING_IN)
    root = name.removesuffix(EVERYTHING_IN)
    inside = [path for path in modules if path.startswith(f"{root}.")]
    own = [root] if root in modules else []
    found = own + inside if whole else own
    if found:
        return found
    if inside:
        raise CalibrationError(
            f"the plan keeps '{name}', which computes nothing itself: "
            f"expected '{root}{EVERYTHING_IN}' for everything in it"
        )
    close = get_close_matches(root, modules, n=1, cutoff=0.0)
    raise CalibrationError(
        f"the plan keeps '{name}', which the model does not have: did you mean '{close[0]}'?"
        if close
        else f"the plan names '{name}', and the model has no {what}"
    )


def quote(text: str) -> str:
    """Return a text as TOML has it."""
    return json.dumps(text, ensure_ascii=False)  # a TOML basic string is a JSON string
