"""Gradients from several processes, one thread each.

On a busy machine two threads in lockstep wait for one another at every layer; two processes that
meet once a step don't. The parameters live in shared memory: the first process alone changes them,
while the others wait.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.synchronize import Barrier
from threading import BrokenBarrierError
from types import TracebackType
from typing import Self

import torch
from torch import Tensor

from tinysr.errors import TinySRError
from tinysr.models import TinySR

__all__ = ["Gradient", "Replicas"]

Gradient = Callable[[TinySR, int, int, int], Tensor]
"""Sets a model's gradients for (step, part, parts) of the batch and returns that part's loss."""

_PATIENCE = 900.0
"""Seconds after which a process that doesn't answer is taken for lost."""


class Replicas:
    """A model's gradients, computed by this process and ``count - 1`` forked ones."""

    def __init__(self, model: TinySR, gradient: Gradient, count: int) -> None:
        self._model, self._gradient, self._count = model, gradient, count
        self._parameters = list(model.parameters())
        size = sum(parameter.numel() for parameter in self._parameters)
        others = count - 1
        self._gradients = _shared(torch.zeros(others, size))
        self._losses = _shared(torch.zeros(others))
        self._step = _shared(torch.zeros(1, dtype=torch.int64))
        context = multiprocessing.get_context("fork")
        self._begin, self._end = context.Barrier(count), context.Barrier(count)
        self._workers = [
            context.Process(target=self._serve, args=(part,), daemon=True)
            for part in range(1, count)
        ]

    def __enter__(self) -> Self:
        """Start the other processes."""
        if self._workers:
            self._model.share_memory()
            torch.set_num_threads(1)
        for worker in self._workers:
            worker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the other processes."""
        for worker in self._workers:
            worker.kill()
            worker.join()

    def backward(self, step: int) -> float:
        """Set the model's gradients for the whole batch of ``step`` and return its loss."""
        self._step[0] = step
        self._meet(self._begin)
        loss = float(self._gradient(self._model, step, 0, self._count).detach())
        self._meet(self._end)
        if self._count == 1:
            return loss
        offset = 0
        for parameter in self._parameters:
            rows = self._gradients[:, offset : offset + parameter.numel()]
            if parameter.grad is not None:
                total = parameter.grad + rows.sum(0).view_as(parameter)
                parameter.grad.copy_(total / self._count)
            offset += parameter.numel()
        return (loss + float(self._losses.sum())) / self._count

    def _meet(self, barrier: Barrier) -> None:
        try:
            barrier.wait(_PATIENCE)
        except BrokenBarrierError as error:
            raise TinySRError("a training process is gone: resume from the checkpoint") from error

    def _called(self) -> bool:
        """Wait for the next step; false if the first process is gone."""
        try:
            self._begin.wait(_PATIENCE)
        except BrokenBarrierError:
            return False
        return True

    def _serve(self, part: int) -> None:
        # Ctrl-C reaches the whole group; the first process decides when the others end.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        while self._called():
            loss = self._gradient(self._model, int(self._step), part, self._count)
            self._losses[part - 1] = loss.detach()
            torch.cat(
                [
                    torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten()
                    for p in self._parameters
                ],
                out=self._gradients[part - 1],
            )
            self._end.wait()


def _shared(tensor: Tensor) -> Tensor:
    shared: Tensor = tensor.share_memory_()  # type: ignore[no-untyped-call]
    return shared
