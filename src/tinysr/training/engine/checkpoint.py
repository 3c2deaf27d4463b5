"""Training checkpoints: one safetensors file with all that a run needs to go on."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from tinysr.errors import CheckpointError
from tinysr.models.checkpoints import write_safetensors
from tinysr.training.config import RunConfig, parse_config
from tinysr.training.engine.stage import TrainingStage, name_trained

__all__ = ["CHECKPOINT", "RunProgress", "RunState", "load_state", "read_progress", "save_state"]

CHECKPOINT = "checkpoint.safetensors"
"""File name inside a run's folder."""

_MAY_CHANGE = ("optim.steps",)
"""Values of the config that a resumed run may have otherwise."""

_MODEL, _EMA, _CRITIC = "model.", "ema.", "critic."
_OPTIMIZER, _CRITIC_OPTIMIZER = "optimizer.", "critic_optimizer."


@dataclass(frozen=True, kw_only=True, slots=True)
class RunProgress:
    """Progress of a run: its step, its time and its config."""

    config: RunConfig
    inputs: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of what the stage starts from, by role: teacher, student, data."""
    step: int = 0
    seconds: float = 0.0
    """Time spent training, over all of the run's sessions."""
    history: tuple[dict[str, Any], ...] = ()
    """Rows of a step and its losses and PSNR, or what changed there in the config."""


@dataclass(kw_only=True, slots=True)
class RunState:
    """A run's tensors."""

    stage: TrainingStage
    optimizer: torch.optim.Optimizer
    ema: dict[str, Tensor]
    """The average of each parameter that trains; empty if the run keeps none."""
    critic_optimizer: torch.optim.Optimizer | None = None


def save_state(path: Path, state: RunState, progress: RunProgress) -> None:
    """Write a checkpoint; it replaces the one at ``path`` only once it is complete.

    Raises:
        CheckpointError: it can't be written.
    """
    tensors = _add_prefix(_MODEL, name_trained(state.stage.model)) | _add_prefix(_EMA, state.ema)
    tensors |= _slots(_OPTIMIZER, state.optimizer)
    if state.stage.critic is not None and state.critic_optimizer is not None:
        tensors |= _add_prefix(_CRITIC, state.stage.critic.state_dict())
        tensors |= _slots(_CRITIC_OPTIMIZER, state.critic_optimizer)
    rows = {"step": progress.step, "seconds": progress.seconds, "history": progress.history}
    metadata = {
        "config": progress.config.model_dump_json(),
        "inputs": json.dumps(dict(progress.inputs)),
        "progress": json.dumps(rows),
    }
    # Channels-last tensors are dense but not contiguous, which the format asks for.
    dense = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
    write_safetensors(dense, metadata, path)


def _add_prefix(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor.detach() for name, tensor in tensors.items()}


def _slots(prefix: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {f"{prefix}{i}.{name}": v for i, slots in state.items() for name, v in slots.items()}


def load_state(path: Path, state: RunState, asked: RunProgress) -> RunProgress:
    """Fill ``state`` in place from the checkpoint at ``path``, for a run of ``asked``'s config.

    What may change within a run may differ from the checkpoint's; the history then says so.

    Raises:
        CheckpointError: there is none, it is damaged, or it is another run's.
    """
    found, tensors = _read(path)
    for role in sorted(found.inputs.keys() | asked.inputs.keys()):
        if found.inputs.get(role) != asked.inputs.get(role):
            raise CheckpointError(f"{path} belongs to a run with another {role}: give the same one")
    changed = _changes(found.config, asked.config, path)
    if changed:
        row = {"step": found.step, "changed": changed}
        found = dataclasses.replace(found, config=asked.config, history=(*found.history, row))
    _fill(state.stage.model, _part(tensors, _MODEL), path)
    state.ema = {n: v.to(state.ema[n].device) for n, v in _part(tensors, _EMA).items()}
    _fill_optimizer(state.optimizer, _part(tensors, _OPTIMIZER))
    if state.stage.critic is not None and state.critic_optimizer is not None:
        state.stage.critic.load_state_dict(_part(tensors, _CRITIC))
        _fill_optimizer(state.critic_optimizer, _part(tensors, _CRITIC_OPTIMIZER))
    return found


def _fill(model: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    own = name_trained(model)
    if odd := sorted(own.keys() ^ tensors.keys()):
        raise CheckpointError(f"{path} is of another model: '{odd[0]}' is in one of them only")
    with torch.no_grad():
        for name, parameter in own.items():
            parameter.copy_(tensors[name])


def _fill_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    slots: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split(".", 1)
        slots.setdefault(int(index), {})[name] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": slots, "param_groups": groups})


def _changes(saved: RunConfig, asked: RunConfig, path: Path) -> dict[str, list[Any]]:
    """Return the values that differ, the old one and the new one by their keys."""
    before, after = _flatten(saved.model_dump(mode="json")), _flatten(asked.model_dump(mode="json"))
    keys = sorted(before.keys() | after.keys())
    changed = [key for key in keys if before.get(key) != after.get(key)]
    if fixed := [key for key in changed if key not in _MAY_CHANGE]:
        raise CheckpointError(
            f"{path} belongs to a run with another {', '.join(fixed)}: "
            "give the same config or another output folder"
        )
    return {key: [before.get(key), after.get(key)] for key in changed}


def _flatten(data: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in data.items():
        name = f"{prefix}{key}"
        flat |= _flatten(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return flat


def read_progress(path: Path) -> RunProgress:
    """Return how far the run of a checkpoint came.

    Raises:
        CheckpointError: there is none at ``path`` or it is damaged.
    """
    return _read(path)[0]


def _part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _read(path: Path) -> tuple[RunProgress, dict[str, Tensor]]:
    if not path.is_file():
        raise CheckpointError(f"no training checkpoint at {path}")
    try:
        with safe_open(path, "pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        rows: dict[str, Any] = json.loads(metadata["progress"])
        inputs: dict[str, str] = json.loads(metadata["inputs"])
        config = json.loads(metadata["config"])
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path} is not a training checkpoint: {error}") from error
    history = tuple(rows.pop("history"))
    config = parse_config(config, f"{path} is of another version")
    return RunProgress(config=config, inputs=inputs, history=history, **rows), tensors
