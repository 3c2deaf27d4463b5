"""The training loop: reproducible from its config, resumable at any step."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tinysr import paths
from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.training.config import RunConfig
from tinysr.training.engine.checkpoint import (
    CHECKPOINT,
    RunProgress,
    RunState,
    load_state,
    save_state,
)
from tinysr.training.engine.loading import Parts, load_batches
from tinysr.training.engine.session import SessionSettings
from tinysr.training.engine.signals import stop_requests
from tinysr.training.engine.stage import Batch, Batches, TrainingStage, list_trained, name_trained
from tinysr.training.engine.state import copy_into, new_state, use_average
from tinysr.training.engine.team import Team, hold_gradients

__all__ = ["train"]


def train(
    stage: TrainingStage,
    config: RunConfig,
    batches: Batches,
    folder: Path,
    *,
    resume: Path | None = None,
    inputs: Mapping[str, str] | None = None,
    session: SessionSettings | None = None,
    team: Team | None = None,
) -> RunProgress:
    """Train a stage, leaving checkpoints in ``folder``; it ends with the averaged weights.

    SIGINT and SIGTERM end the run after the step at hand, with a checkpoint.

    Args:
        stage: what trains, on the team's device.
        config: what the run does.
        batches: what it learns from.
        folder: of the run.
        resume: the checkpoint to go on from.
        inputs: SHA-256 of what the stage starts from, by role.
        session: how often to save and to measure.
        team: this process among the run's.

    Raises:
        UnsupportedError: the batches don't divide among processes and parts.
        CheckpointError: ``folder`` holds a run already and ``resume`` is not given, or its run
            has another config or other inputs; or a loss is not finite.
    """
    team, session = team or Team(), session or SessionSettings()
    shares = team.size * config.optim.accumulate
    if any(phase.batch % shares for phase in config.phases):
        raise UnsupportedError(f"the batches don't divide by {shares} (processes × accumulate)")
    path = folder / CHECKPOINT
    state = new_state(stage, config)
    progress = RunProgress(config=config, inputs=inputs or {})
    if resume is not None:
        progress = load_state(resume, state, progress)
    elif paths.exists(path, CheckpointError):
        raise CheckpointError(f"{path} exists: resume it or choose another output folder")
    run = _Run(
        path=path, state=state, progress=progress, batches=batches, session=session, team=team
    )
    run.train()
    if state.ema:
        copy_into(stage.model, state.ema)
    return run.progress


class _Run:
    """One session of a run."""

    def __init__(
        self,
        *,
        path: Path,
        state: RunState,
        progress: RunProgress,
        batches: Batches,
        session: SessionSettings,
        team: Team,
    ) -> None:
        self.path, self.state, self.progress = path, state, progress
        self.batches, self.session, self.team = batches, session, team
        self._sums: dict[str, float] = {}
        self._counted = 0
        stage = state.stage
        self._player = team.player(stage.model, stage.loss, may_skip=stage.may_skip)
        self._critic = None
        if stage.critic is not None:
            self._critic = team.player(stage.critic, stage.critic_loss, may_skip=False)

    def train(self) -> None:
        config, before = self.progress.config, self.progress.seconds
        start = saved = time.monotonic()
        parts = Parts.of(config, self.progress.step, self.team)
        with stop_requests() as stopping, load_batches(self.batches, parts, self.session) as raws:
            stop = self._agree(stopping())
            while self.progress.step < config.optim.steps and not stop:
                losses = self._step(self.progress.step, raws)
                self._count(losses, before + time.monotonic() - start)
                stop = self._agree(stopping())
                if time.monotonic() - saved > self.session.save_every:
                    self._save()
                    saved = time.monotonic()
                self._keep()
        self._save()

    def _agree(self, stop: bool) -> bool:
        """Whether any process was asked to stop: all stop after the same step."""
        return bool(self.team.mean(torch.tensor(float(stop), device=self.team.device)) > 0)

    def _step(self, step: int, raws: Iterator[Batch]) -> dict[str, float]:
        """Take one step of the model, and of the critic where there is one."""
        config = self.progress.config
        losses: dict[str, Tensor] = {}
        self.state.optimizer.zero_grad(set_to_none=True)
        if self.state.critic_optimizer:
            self.state.critic_optimizer.zero_grad(set_to_none=True)
        count = config.optim.accumulate
        for part in range(count):
            terms = self._backward(next(raws), step, last=part == count - 1)
            losses = {name: losses.get(name, 0) + value / count for name, value in terms.items()}
        names = sorted(losses)
        means = self.team.mean(torch.stack([losses[name] for name in names])).tolist()
        values = dict(zip(names, means, strict=True))
        if odd := [name for name, value in values.items() if not math.isfinite(value)]:
            raise CheckpointError(
                f"the loss '{odd[0]}' is {values[odd[0]]} at step {step}: lower the learning rate"
            )
        self._update(step)
        return values | {"rate": config.optim.rate(step)}

    def _backward(self, batch: Batch, step: int, *, last: bool) -> dict[str, Tensor]:
        """Add a part's gradients to those of the model and of the critic."""
        stage, count = self.state.stage, self.progress.config.optim.accumulate
        with hold_gradients(self._player, until=last), _freeze(stage.critic):
            with self._precision(step):
                terms: dict[str, Tensor] = self._player(batch, step)
            total = torch.stack([term.float() for term in terms.values()]).sum()
            (total / count).backward()
        losses = {name: term.detach().float() for name, term in terms.items()}
        if self._critic is not None:
            with hold_gradients(self._critic, until=last):
                with self._precision(step):
                    loss = self._critic(batch, step)
                (loss.float() / count).backward()
            losses["critic"] = loss.detach().float()
        return losses | {"loss": total.detach()}

    def _precision(self, step: int) -> contextlib.AbstractContextManager[Any]:
        half = self.progress.config.phase(step).precision == "bf16"
        return torch.autocast(self.team.device.type, torch.bfloat16, enabled=half)

    def _update(self, step: int) -> None:
        """Take the optimizers' steps with the gradients at hand."""
        state, optim = self.state, self.progress.config.optim
        for group in state.optimizer.param_groups:
            group["lr"] = optim.rate(step) * group["factor"](step)
        nn.utils.clip_grad_norm_(list_trained(state.stage.model), optim.clip)
        state.optimizer.step()
        if state.stage.critic is not None and state.critic_optimizer is not None:
            nn.utils.clip_grad_norm_(state.stage.critic.parameters(), optim.clip)
            state.critic_optimizer.step()
        # The average forgets the start sooner than its full memory would.
        keep = min(optim.ema, (1 + step) / (10 + step))
        now = name_trained(state.stage.model)
        for name, average in state.ema.items():
            average.lerp_(now[name], 1 - keep)

    def _count(self, losses: Mapping[str, float], seconds: float) -> None:
        self._counted += 1
        self._sums = {n: self._sums.get(n, 0.0) + v for n, v in losses.items()}
        step = self.progress.step + 1
        self.progress = dataclasses.replace(self.progress, step=step, seconds=seconds)
        if self._is_measured(step):
            # Measuring may take longer than whoever asks a run to end waits for it.
            self._save()
            history = (*self.progress.history, self._measure(step))
            self.progress = dataclasses.replace(self.progress, history=history)
        if self.session.report and self.team.leads:
            self.session.report(self.progress, losses)

    def _is_measured(self, step: int) -> bool:
        every, last = self.session.watch_every, self.progress.config.optim.steps
        return every > 0 and (step % every == 0 or step == last)

    def _measure(self, step: int) -> dict[str, float]:
        row = {"step": float(step)} | {n: v / self._counted for n, v in self._sums.items()}
        self._sums, self._counted = {}, 0
        if self.session.watch and self.team.leads:
            with use_average(self.state):
                row |= self.session.watch(self.state.stage)
        self.team.wait()
        return row

    def _save(self) -> None:
        if self.team.leads:
            save_state(self.path, self.state, self.progress)

    def _keep(self) -> None:
        every, step = self.session.keep_every, self.progress.step
        if every and step % every == 0 and self.team.leads:
            save_state(self.path.with_stem(f"step-{step:08d}"), self.state, self.progress)


@contextlib.contextmanager
def _freeze(critic: nn.Module | None) -> Iterator[None]:
    """Judge by the critic without gradients of its own."""
    if critic is not None:
        critic.requires_grad_(False)
    yield
    if critic is not None:
        critic.requires_grad_(True)
