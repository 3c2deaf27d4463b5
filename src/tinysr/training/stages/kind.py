"""Kinds of stages: how one is made from its config, and what earlier stages hand on to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tinysr import paths
from tinysr.errors import UnsupportedError
from tinysr.models import OneStep, TinySR, load, load_checkpoint
from tinysr.records import StrictRecord
from tinysr.training.engine import TrainingStage

__all__ = ["Context", "StageKind"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """Inputs and device that a stage is built with, besides its options."""

    seed: int
    device: torch.device
    inputs: Mapping[str, Path] = field(default_factory=dict)
    """Checkpoints by role: teacher, student, vae, features."""

    def model(self, role: str) -> TinySR:
        """Return an input's model on the device: eval mode, no gradients.

        Raises:
            UnsupportedError: no input has that role.
            CheckpointError: its checkpoint can't be used.
        """
        return load(self.path(role)).to(self.device)

    def teacher(self) -> OneStep:
        """Return the input ``teacher`` on the device: TSD-SR, or another model with latents.

        Raises:
            UnsupportedError: there is no such input, or it has no latents to learn.
            CheckpointError: its checkpoint can't be used.
        """
        return load_checkpoint(self.path("teacher")).teacher.to(self.device)

    def path(self, role: str) -> Path:
        """Return an input's path; what lies there goes before a preset of its name.

        Raises:
            UnsupportedError: no input has that role.
        """
        if role not in self.inputs:
            raise UnsupportedError(f"this stage needs a {role}: give it with --input {role}=PATH")
        path = self.inputs[role]
        return path.absolute() if paths.exists(path, UnsupportedError) else path


@dataclass(frozen=True, kw_only=True, slots=True)
class StageKind:
    """A kind of stage that configs name."""

    name: str
    options: type[StrictRecord]
    """The table ``[options]`` of its configs."""
    make: Callable[[Any, Context], TrainingStage]
    """Builds the stage from its options."""
    inputs: tuple[str, ...] = ()
    """Roles of the checkpoints that it starts from."""
