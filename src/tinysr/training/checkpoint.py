"""Training checkpoints: one safetensors file with all that a run needs to go on."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from tinysr.errors import CheckpointError
from tinysr.models import TinySR
from tinysr.training.config import TrainConfig

__all__ = ["CHECKPOINT", "Progress", "State", "load_state", "read_ema", "save_state"]

CHECKPOINT = "checkpoint.safetensors"
"""File name inside a run's folder."""

_MAY_CHANGE = ("steps", "vivid")
"""Fields of the config that a resumed run may have otherwise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a run has come."""

    config: TrainConfig
    step: int = 0
    seconds: float = 0.0
    """Time spent training, over all of the run's sessions."""
    history: tuple[dict[str, Any], ...] = field(default=())
    """Rows of a step and its loss and PSNR, or what changed there in the config."""


@dataclass(kw_only=True, slots=True)
class State:
    """A run's tensors."""

    model: TinySR
    ema: TinySR
    optimizer: torch.optim.Optimizer


def save_state(path: Path, state: State, progress: Progress) -> None:
    """Write a checkpoint; it replaces the one at ``path`` only once it is complete."""
    tensors = {f"model.{k}": v for k, v in state.model.state_dict().items()}
    tensors |= {f"ema.{k}": v for k, v in state.ema.state_dict().items()}
    for index, slots in state.optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in slots.items()}
    metadata = {
        "config": progress.config.to_json(),
        "progress": json.dumps(
            {"step": progress.step, "seconds": progress.seconds, "history": progress.history}
        ),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    # Channels-last tensors are dense but not contiguous, which the format asks for.
    save_file({k: v.contiguous() for k, v in tensors.items()}, partial, metadata)
    partial.replace(path)


def load_state(path: Path, state: State, config: TrainConfig) -> Progress:
    """Fill ``state`` in place from the checkpoint at ``path``.

    What may change within a run may differ from the checkpoint's; the history then says so.

    Raises:
        CheckpointError: there is none, it is damaged, or it is another run's.
    """
    progress, tensors = _read(path)
    changed = _changes(progress.config, config, path)
    if changed:
        row = {"step": progress.step, "changed": changed}
        progress = dataclasses.replace(progress, config=config, history=(*progress.history, row))
    state.model.load_state_dict(_part(tensors, "model."))
    state.ema.load_state_dict(_part(tensors, "ema."))
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in _part(tensors, "optimizer.").items():
        index, name = key.split(".", 1)
        slots.setdefault(int(index), {})[name] = value
    groups = state.optimizer.state_dict()["param_groups"]
    state.optimizer.load_state_dict({"state": slots, "param_groups": groups})
    return progress


def _changes(saved: TrainConfig, asked: TrainConfig, path: Path) -> dict[str, list[float]]:
    """Return the fields that differ, with their old and new values."""
    names = [field.name for field in dataclasses.fields(asked)]
    changed = [name for name in names if getattr(saved, name) != getattr(asked, name)]
    fixed = [name for name in changed if name not in _MAY_CHANGE]
    if fixed:
        raise CheckpointError(
            f"{path} belongs to a run with another {', '.join(fixed)}: "
            "give the same options or another output folder"
        )
    return {name: [getattr(saved, name), getattr(asked, name)] for name in changed}


def read_ema(path: Path) -> tuple[Progress, dict[str, Tensor]]:
    """Return a checkpoint's progress and the averaged model's state dict.

    Raises:
        CheckpointError: there is none at ``path`` or it is damaged.
    """
    progress, tensors = _read(path)
    return progress, _part(tensors, "ema.")


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _read(path: Path) -> tuple[Progress, dict[str, Tensor]]:
    if not path.is_file():
        raise CheckpointError(f"no training checkpoint at {path}")
    try:
        with safe_open(path, "pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        rows: dict[str, Any] = json.loads(metadata["progress"])
        config = TrainConfig.from_dict(json.loads(metadata["config"]))
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path} is not a training checkpoint: {error}") from error
    history = tuple(rows.pop("history"))
    return Progress(config=config, history=history, **rows), tensors
