"""Short trainings of a small teacher."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch

from tests.support.recipes import small_config
from tests.support.training_runs import Run
from tinysr.training import RunConfig
from tinysr.training.data import PatchBatches
from tinysr.training.engine import RunProgress, SessionSettings, train
from tinysr.training.stages import Context, build


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Let SIGINT interrupt, which programs in the background of a shell ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that trains a small teacher in a folder, showing and measuring nothing."""

    def call(
        folder: str,
        config: RunConfig | None = None,
        *,
        resume: str | None = None,
        session: SessionSettings | None = None,
        inputs: Mapping[str, str] | None = None,
    ) -> RunProgress:
        config = config or small_config()
        stage = build(config, Context(seed=config.seed, device=torch.device("cpu")))
        return train(
            stage,
            config,
            PatchBatches(config),
            tmp_path / folder,
            resume=tmp_path / folder / resume if resume else None,
            session=session,
            inputs=inputs,
        )

    return call
