"""Batches in the order of their steps, loaded ahead where there are processes for it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import torch
from torch.utils.data import DataLoader, Dataset

from tinysr.training.config import RunConfig
from tinysr.training.engine.session import SessionSettings
from tinysr.training.engine.stage import Batch, Batches, Raw
from tinysr.training.engine.team import Team

__all__ = ["Parts", "load_batches"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """The parts of all batches that one process computes, in their order."""

    first_step: int
    steps: int
    accumulate: int
    rank: int
    parts: int
    device: torch.device

    @classmethod
    def of(cls, config: RunConfig, step: int, team: Team) -> Self:
        """Return a process's parts from ``step`` on."""
        return cls(
            first_step=step,
            steps=config.optim.steps,
            accumulate=config.optim.accumulate,
            rank=team.rank,
            parts=team.size * config.optim.accumulate,
            device=team.device,
        )

    def __len__(self) -> int:
        return max(self.steps - self.first_step, 0) * self.accumulate

    def locate(self, index: int) -> tuple[int, int]:
        """Return the step and the part of the ``index``-th item."""
        step, turn = divmod(index, self.accumulate)
        return self.first_step + step, self.rank * self.accumulate + turn


class _Items(Dataset[Raw]):
    def __init__(self, batches: Batches, parts: Parts) -> None:
        self._batches, self._parts = batches, parts

    def __len__(self) -> int:
        return len(self._parts)

    def __getitem__(self, index: int) -> Raw:
        step, part = self._parts.locate(index)
        return self._batches.load(step, part, self._parts.parts)


@contextlib.contextmanager
def load_batches(
    batches: Batches, parts: Parts, session: SessionSettings
) -> Iterator[Iterator[Batch]]:
    """Yield the batches of a process's parts, degraded, on its device."""
    loader: DataLoader[Raw] = DataLoader(
        _Items(batches, parts),
        batch_size=None,
        num_workers=session.workers,
        worker_init_fn=_ignore_signals,
    )

    def finish() -> Iterator[Batch]:
        for raw in loader:
            yield batches.finish(raw.to(parts.device))

    items = finish()
    try:
        yield items
    finally:
        items.close()  # type: ignore[attr-defined]


def _ignore_signals(_worker: int) -> None:
    """Leave what asks a whole group of processes to stop to the one that trains, which saves."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
