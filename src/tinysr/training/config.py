"""A training run as data: with the code's version and its inputs, it determines the weights.

A config is a TOML file; unknown keys are refused. ``tinysr train`` ships one for each stage, in
``recipes``, and ``--set optim.steps=10`` changes one value of it.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from tinysr.errors import UnsupportedError
from tinysr.records import StrictRecord

__all__ = [
    "Data",
    "Optim",
    "Phase",
    "RunConfig",
    "first_problem",
    "parse_config",
    "read_config",
    "read_table",
]


class Phase(StrictRecord):
    """A stretch of the run with one size of patch and one precision."""

    share: float = Field(default=1.0, gt=0, le=1)
    """Share of the run's steps, in (0, 1]; the shares of all phases add up to 1."""
    patch: int = Field(ge=16)
    """Side of a high-resolution patch, in pixels; it divides by 16."""
    batch: int = Field(ge=1)
    """Patches in a step, over all processes and accumulated parts."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Type in which autocast computes; weights and their sums stay fp32."""


class Optim(StrictRecord):
    """AdamW, its schedule, and the average of the weights."""

    steps: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    """Learning rate at its peak; a cosine takes it to ``final_rate``."""
    final_rate: float = Field(ge=0)
    warmup: int = Field(default=0, ge=0)
    """Steps over which the rate rises from 0."""
    critic_rate: float = Field(default=0.0, ge=0)
    """Learning rate of the discriminator, constant; used by stages with a GAN loss."""
    weight_decay: float = Field(default=1e-2, ge=0)
    epsilon: float = Field(default=1e-8, gt=0)
    clip: float = Field(default=1.0, gt=0)
    """Largest norm of all gradients together."""
    ema: float = Field(default=0.999, ge=0, lt=1)
    """Share of itself that the averaged model keeps in a step; 0 keeps no average."""
    accumulate: int = Field(default=1, ge=1)
    """Parts that each process computes its share of a batch in, one after the other."""

    def rate(self, step: int) -> float:
        """Return the learning rate at ``step``: a linear rise, then a cosine."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        done = (step - self.warmup) / max(self.steps - self.warmup, 1)
        fall = 0.5 * (1 + math.cos(math.pi * min(done, 1)))
        return self.final_rate + (self.learning_rate - self.final_rate) * fall


class Data(StrictRecord):
    """Sources of patches, and what is done to them."""

    photos: float = Field(default=0.0, ge=0, le=1)
    """Share of the patches cut from ``--data``'s images; the others are synthetic."""
    degradation: str = "mild"
    """Name of the strengths that make a low-resolution image of a patch."""
    vivid: float = Field(default=0.0, ge=0, le=1)
    """Share of the patches with strong colours; without them red turns out orange."""
    soft: float = Field(default=0.0, ge=0, le=1)
    """Share of the patches out of focus, which bicubic nearly restores: nothing may be added."""
    flat: float = Field(default=0.0, ge=0, le=1)
    """Share of the patches that give way to one colour, which has to stay one."""
    intact: float = Field(default=0.0, ge=0, le=1)
    """Share of an image teacher's crops that need little repair or none: what was made smaller and
    hardly degraded has to come back. They, as those out of focus, have the original as target."""
    faint: float = Field(default=0.0, ge=0, le=1)
    """Share of the crops with the original as target whose contrast is low: it is no noise."""
    dark: float = Field(default=0.0, ge=0, le=1)
    """Share of the same crops that are underexposed: micrographs, night."""
    grain: float = Field(default=0.0, ge=0, le=1)
    """Share of the same crops with a sensor's noise, which is part of the original: it stays."""
    image_side: int = Field(default=512, ge=16)
    """Side of a synthetic image, in pixels."""
    pool: int = Field(default=96, ge=1)
    """Images that are in use at a time."""
    refresh: int = Field(default=16, ge=1)
    """Steps after which the pool's oldest image makes way for a new one."""


class RunConfig(StrictRecord):
    """Config of a stage's run. Equal configs and inputs see the same images in the same order."""

    stage: str
    """Name of the stage: :data:`tinysr.training.stages.STAGES` lists them."""
    seed: int = 80
    optim: Optim
    phases: tuple[Phase, ...]
    data: Data = Data()
    options: dict[str, Any] = Field(default_factory=dict)
    """The stage's own table; the stage checks it."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if not math.isclose(sum(phase.share for phase in self.phases), 1):
            raise ValueError("the shares of all phases must add up to 1")
        if any(phase.patch % 16 or phase.patch > self.data.image_side for phase in self.phases):
            raise ValueError(
                f"patches must divide by 16 and fit an image of {self.data.image_side} pixels"
            )
        return self

    def phase(self, step: int) -> Phase:
        """Return the phase that ``step`` lies in."""
        end = 0.0
        for phase in self.phases:
            end += phase.share * self.optim.steps
            if step < round(end):
                return phase
        return self.phases[-1]


def read_config(path: Path, changes: Sequence[str] = ()) -> RunConfig:
    """Return a TOML file's config with ``changes``, each as ``table.key=value``.

    Raises:
        UnsupportedError: the file can't be read or is not a config; the message names the key.
    """
    return parse_config(read_table(path, changes), str(path))


def read_table(path: Path, changes: Sequence[str] = ()) -> dict[str, Any]:
    """Return a TOML file's values with ``changes``, each as ``table.key=value``.

    Raises:
        UnsupportedError: the file can't be read, or a change is of another form.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UnsupportedError(f"{path}: not a training config: {error}") from error
    for change in changes:
        _set(data, change)
    return data


def parse_config(data: Mapping[str, Any], origin: str) -> RunConfig:
    """Return the config that plain data describe; ``origin`` names them in errors.

    Raises:
        UnsupportedError: a key is unknown, missing or has a value that can't be.
    """
    try:
        return RunConfig.model_validate(data)
    except ValidationError as error:
        raise UnsupportedError(f"{origin}: {first_problem(error)}") from error


def first_problem(error: ValidationError) -> str:
    """Return pydantic's first complaint as one line, the key first."""
    problem = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in problem["loc"])
    return f"{key}: {problem['msg']}" if key else problem["msg"]


def _set(data: dict[str, Any], change: str) -> None:
    """Change one value in place."""
    key, equals, text = change.partition("=")
    names = key.strip().split(".")
    if not equals or not all(names):
        raise UnsupportedError(f"--set expects table.key=value, found '{change}'")
    table = data
    for name in names[:-1]:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise UnsupportedError(f"--set {change}: '{name}' is not a table")
    table[names[-1]] = _read_value(text.strip())


def _read_value(text: str) -> Any:
    """Read a TOML value; a bare word is a string."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
