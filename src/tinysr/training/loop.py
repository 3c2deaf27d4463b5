"""The training loop: reproducible from its config, resumable at any step."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import functools
import math
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.models import PRESETS, TinySR
from tinysr.training.checkpoint import CHECKPOINT, Progress, State, load_state, save_state
from tinysr.training.config import TrainConfig
from tinysr.training.data import Batches
from tinysr.training.init import initialise
from tinysr.training.replicas import Replicas

__all__ = ["Report", "Schedule", "Watch", "new_state", "pixel_loss", "train"]

Watch = Callable[[TinySR], float]
"""Returns the PSNR, in dB, of the averaged model on images that the training doesn't see."""

Report = Callable[[Progress, float], None]
"""Called after each step with the progress and the step's loss."""

_MODULATION = ("time_text_embed", "norm1.linear", "norm_out.linear")
"""Parts of the names of the parameters that train at ``modulation_factor``."""

_VELOCITY = "transformer.proj_out.weight"

_PATTERN = "transformer.proj_out.bias"
"""The wiring's phase pattern: it works, and learns, with the decoder."""

_EPSILON = 1e-10
"""Adam's; attention's gradients are about 1e-9, which the usual 1e-8 would hold still."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """How a session of a run works; none of it changes what the run computes."""

    processes: int = 1
    """How many share each batch; rounding aside, the result is the same."""
    save_every: float = 180.0
    """Seconds between checkpoints."""
    watch_every: int = 500
    """Steps between measurements."""
    watch: Watch | None = None
    report: Report | None = None


def train(
    config: TrainConfig,
    folder: Path,
    *,
    resume: bool = False,
    schedule: Schedule | None = None,
) -> tuple[TinySR, Progress]:
    """Train, leaving checkpoints in ``folder``; return the averaged model and how far it came.

    SIGINT and SIGTERM end the run after the step at hand, with a checkpoint.

    Raises:
        UnsupportedError: the batches don't divide among the processes.
        CheckpointError: ``folder`` holds a run already and ``resume`` is not set, or its run
            differs from ``config`` in more than its number of steps.
    """
    schedule = schedule or Schedule()
    if any(phase.batch % schedule.processes for phase in config.phases):
        raise UnsupportedError(f"{schedule.processes} processes can't share the batches evenly")
    path = folder / CHECKPOINT
    state, progress = new_state(config), Progress(config=config)
    if resume:
        progress = load_state(path, state, config)
    elif path.exists():
        raise CheckpointError(f"{path} exists: resume it or choose another output folder")
    run = _Run(path, state, progress, schedule)
    run.until_done_or_stopped()
    return state.ema, run.progress


def new_state(config: TrainConfig) -> State:
    """Return a freshly initialised model, its average and its optimizer."""
    model = initialise(TinySR(PRESETS[config.preset]), config.seed)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    ema = copy.deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(
        _groups(model, config), lr=0.0, eps=_EPSILON, weight_decay=config.weight_decay
    )
    return State(model=model, ema=ema, optimizer=optimizer)


def _groups(model: TinySR, config: TrainConfig) -> list[dict[str, Any]]:
    """Return the parameters by the rate they train at."""
    factors = {
        "transformer": config.transformer_factor,
        "velocity": config.velocity_factor,
        "modulation": config.modulation_factor,
    }
    rows: dict[str, list[nn.Parameter]] = {"autoencoder": [], **{kind: [] for kind in factors}}
    for name, parameter in model.named_parameters():
        rows[_kind(name)].append(parameter)
    groups = [{"params": rows["autoencoder"], "rate": config.rate}]
    for kind, factor in factors.items():
        rate = functools.partial(_transformer_rate, config, factor)
        groups.append({"params": rows[kind], "rate": rate})
    return groups


def _kind(name: str) -> str:
    if not name.startswith("transformer.") or name == _PATTERN:
        return "autoencoder"
    if any(part in name for part in _MODULATION):
        return "modulation"
    return "velocity" if name == _VELOCITY else "transformer"


def _transformer_rate(config: TrainConfig, factor: float, step: int) -> float:
    return config.transformer_rate(step) * factor


class _Run:
    """One session of a run."""

    def __init__(self, path: Path, state: State, progress: Progress, schedule: Schedule) -> None:
        self.path, self.state, self.progress, self.schedule = path, state, progress, schedule
        self._batches = Batches(progress.config)
        self._losses: list[float] = []

    def until_done_or_stopped(self) -> None:
        config, before = self.progress.config, self.progress.seconds
        start = saved = time.monotonic()
        model, processes = self.state.model, self.schedule.processes
        with _stop_requests() as stopping, Replicas(model, self._gradient, processes) as replicas:
            while self.progress.step < config.steps and not stopping():
                loss = replicas.backward(self.progress.step)
                _update(self.state, config, self.progress.step)
                self._count(loss, before + time.monotonic() - start)
                if time.monotonic() - saved > self.schedule.save_every:
                    save_state(self.path, self.state, self.progress)
                    saved = time.monotonic()
        save_state(self.path, self.state, self.progress)

    def _gradient(self, model: TinySR, step: int, part: int, parts: int) -> Tensor:
        """Set the gradients of ``model`` for a part of the batch and return the loss."""
        config = self.progress.config
        low, high = self._batches.batch(step, part, parts)
        with torch.autocast("cpu", torch.bfloat16, enabled=config.phase(step).bfloat16):
            image = model(low.contiguous(memory_format=torch.channels_last))
        loss = pixel_loss(image.float(), high, config.gradient_loss)
        model.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    def _count(self, loss: float, seconds: float) -> None:
        if not math.isfinite(loss):
            raise CheckpointError(
                f"the loss is {loss} at step {self.progress.step}: lower the learning rate"
            )
        self._losses.append(loss)
        step, history = self.progress.step + 1, self.progress.history
        if step % self.schedule.watch_every == 0 or step == self.progress.config.steps:
            history = (*history, self._measure(step))
        self.progress = dataclasses.replace(
            self.progress, step=step, seconds=seconds, history=history
        )
        if self.schedule.report:
            self.schedule.report(self.progress, loss)

    def _measure(self, step: int) -> dict[str, float]:
        row = {"step": float(step), "loss": sum(self._losses) / len(self._losses)}
        self._losses.clear()
        if self.schedule.watch:
            row["psnr"] = self.schedule.watch(self.state.ema)
        return row


def _update(state: State, config: TrainConfig, step: int) -> None:
    """Take one optimizer step with the gradients at hand."""
    for group in state.optimizer.param_groups:
        group["lr"] = group["rate"](step)
    torch.nn.utils.clip_grad_norm_(state.model.parameters(), config.clip)
    state.optimizer.step()
    # The average forgets the start sooner than its full memory would.
    _average(state.ema, state.model, min(config.ema, (1 + step) / (10 + step)))


def pixel_loss(image: Tensor, truth: Tensor, gradient_weight: float) -> Tensor:
    """Return the smooth L1 distance of two ``[N, 3, H, W]``, of pixels and of their differences."""
    error = image - truth
    slopes = _smooth_abs(error.diff(dim=2)).mean() + _smooth_abs(error.diff(dim=3)).mean()
    return _smooth_abs(error).mean() + gradient_weight * slopes


def _smooth_abs(x: Tensor) -> Tensor:
    # Under half a step of 8 bits the distance turns quadratic.
    return F.huber_loss(x, torch.zeros_like(x), reduction="none", delta=0.002) / 0.002


@torch.no_grad()
def _average(ema: TinySR, model: TinySR, keep: float) -> None:
    for average, value in zip(ema.parameters(), model.parameters(), strict=True):
        average.lerp_(value, 1 - keep)


@contextlib.contextmanager
def _stop_requests() -> Iterator[Callable[[], bool]]:
    """Turn SIGINT and SIGTERM into a question that the loop can ask between two steps."""
    asked: list[int] = []
    signals = (signal.SIGINT, signal.SIGTERM)
    previous = [signal.signal(s, lambda number, _: asked.append(number)) for s in signals]
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in zip(signals, previous, strict=True):
            signal.signal(number, handler)
