"""Inputs of an image teacher, as data: with its weights, they determine the crops."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator

from tinysr.errors import UnsupportedError
from tinysr.records import StrictRecord
from tinysr.training.config import Data, Phase, first_problem, read_table

__all__ = ["TEACH", "TeachConfig", "read_teach_config"]

TEACH = "teach"
"""The stage's name in configs and recipes."""


class TeachConfig(StrictRecord):
    """A TOML file with ``stage = "teach"``."""

    stage: Literal["teach"] = "teach"
    seed: int = 80
    shards: int = Field(ge=1)
    """Files that the crops are kept in; a run that was stopped goes on at the next one."""
    batches: int = Field(ge=1)
    """Batches in a shard."""
    patch: int = Field(ge=16)
    """Side of a crop at high resolution, in pixels; it divides by 16."""
    batch: int = Field(ge=1)
    """Crops that the teacher enlarges at a time."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Type in which the teacher computes; bf16 pays on CPUs that multiply it in tiles (AMX)."""
    data: Data = Data()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.patch % 16 or self.patch > self.data.image_side:
            raise ValueError(
                f"patch must divide by 16 and fit an image of {self.data.image_side} pixels"
            )
        return self

    def phase(self, _step: int) -> Phase:
        """Return what a batch is made of."""
        return Phase(patch=self.patch, batch=self.batch, precision=self.precision)


def read_teach_config(path: Path, changes: Sequence[str] = ()) -> TeachConfig:
    """Return a TOML file's config with ``changes``, each as ``key=value``.

    Raises:
        UnsupportedError: the file can't be read or is no such config; the message names the key.
    """
    try:
        return TeachConfig.model_validate(read_table(path, changes))
    except ValidationError as error:
        raise UnsupportedError(f"{path}: {first_problem(error)}") from error
