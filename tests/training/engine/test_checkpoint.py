"""A training checkpoint is there whole, or as it was before."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors import SafetensorError, safe_open

from tinysr.errors import CheckpointError
from tinysr.training.engine import checkpoint


def save(path: Path, step: int) -> None:
    """Save a run of one linear layer at a step."""
    model = torch.nn.Linear(2, 2)
    stage = SimpleNamespace(model=model, critic=None)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    state: Any = SimpleNamespace(stage=stage, optimizer=optimizer, ema={}, critic_optimizer=None)
    config = SimpleNamespace(model_dump_json=lambda: "{}")
    progress: Any = SimpleNamespace(config=config, inputs={}, step=step, seconds=0.0, history=())
    checkpoint.save_state(path, state, progress)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SafetensorError("No space left on device"), "can't be written: No space left"),
        (OSError(28, "No space left on device"), "can't be written: No space left"),
    ],
)
def test_a_full_disk_keeps_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    path = tmp_path / "run" / checkpoint.CHECKPOINT
    save(path, 1)

    def full(_: object, file: Path, *__: object) -> None:
        file.write_bytes(b"half of it")
        raise error

    monkeypatch.setattr("tinysr.models.checkpoints.writing.save_file", full)
    with pytest.raises(CheckpointError, match=said):
        save(path, 2)
    assert list(path.parent.iterdir()) == [path]
    with safe_open(path, "pt") as file:
        assert '"step": 1' in file.metadata()["progress"]
