"""Runs of the engine: stopped on demand, and compared by their checkpoints."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from tinysr.models import TinySR
from tinysr.training import RunConfig
from tinysr.training.engine import CHECKPOINT, RunProgress, SessionSettings
from tinysr.training.stages import Context, build

Run = Callable[..., RunProgress]


def tensors(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / CHECKPOINT)


def stop_after(step: int, number: signal.Signals = signal.SIGINT) -> SessionSettings:
    def report(progress: RunProgress, _: Mapping[str, float]) -> None:
        if progress.step == step:
            os.kill(os.getpid(), number)

    return SessionSettings(report=report)


def same(one: Path, other: Path) -> bool:
    first, second = tensors(one), tensors(other)
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def load_teacher(config: RunConfig) -> TinySR:
    return build(config, Context(seed=config.seed, device=torch.device("cpu"))).product()
