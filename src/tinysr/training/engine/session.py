"""Settings of a session of a run: saving, measuring, reporting."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tinysr.training.engine.checkpoint import RunProgress
from tinysr.training.engine.stage import TrainingStage

__all__ = ["Measure", "SessionSettings", "StepCallback"]

Measure = Callable[[TrainingStage], Mapping[str, float]]
"""Returns measures of the stage, by name, on images that the training doesn't see: ``psnr`` in dB,
and others."""

StepCallback = Callable[[RunProgress, Mapping[str, float]], None]
"""Callback, called after each step with the progress and the step's losses and rate by name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SessionSettings:
    """How a session of a run works; none of it changes what the run computes."""

    save_every: float = 180.0
    """Seconds between checkpoints."""
    keep_every: int = 0
    """Steps between checkpoints that stay, under a name with their step; 0 keeps none."""
    watch_every: int = 500
    """Steps between measurements, of which the last step is one; 0 measures nothing."""
    workers: int = 0
    """Processes that load batches ahead; 0 loads them between the steps."""
    watch: Measure | None = None
    report: StepCallback | None = None
