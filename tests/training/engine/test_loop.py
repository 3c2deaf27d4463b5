"""The engine: it learns, resumes to the same result, and stops when asked."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.support.recipes import small_config
from tests.support.training_runs import Run, load_teacher, same, stop_after, tensors
from tinysr.errors import CheckpointError
from tinysr.models import TinySR, load
from tinysr.training import RunConfig, StageRun, run_stage
from tinysr.training.data import PatchBatches
from tinysr.training.engine import (
    CHECKPOINT,
    Batch,
    SessionSettings,
    TrainingStage,
    read_progress,
    train,
)
from tinysr.training.runner import PRODUCT
from tinysr.training.stages import Context, build

pytestmark = pytest.mark.usefixtures("one_core")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_six_steps_are_three_and_three_more_bit_for_bit(
    run: Run, tmp_path: Path, number: signal.Signals
) -> None:
    run("straight")
    assert run("halted", session=stop_after(3, number)).step == 3
    assert run("halted", resume=CHECKPOINT).step == 6
    assert same(tmp_path / "straight", tmp_path / "halted")


def test_any_checkpoint_that_was_kept_leads_to_the_same_result(run: Run, tmp_path: Path) -> None:
    run("straight", session=SessionSettings(keep_every=2))
    end = tensors(tmp_path / "straight")
    kept = sorted(path.name for path in (tmp_path / "straight").glob("step-*"))
    assert kept == [f"step-0000000{step}.safetensors" for step in (2, 4, 6)]
    run("straight", resume=kept[0])
    assert all(torch.equal(end[n], v) for n, v in tensors(tmp_path / "straight").items())


def test_the_result_is_the_average_of_the_weights(tmp_path: Path) -> None:
    config = small_config()
    stage = build(config, Context(seed=80, device=torch.device("cpu")))
    train(stage, config, PatchBatches(config), tmp_path)
    saved, product = tensors(tmp_path), stage.product().state_dict()
    name = "decoder.layers.0.weight"
    assert torch.equal(product[name], saved[f"ema.{name}"])
    assert not torch.equal(product[name], saved[f"model.{name}"])


def test_bf16_trains_and_resumes(run: Run, tmp_path: Path) -> None:
    config = small_config(phases=[{"patch": 32, "batch": 2, "precision": "bf16"}])
    run("half", config)
    run("halted", config, session=stop_after(3))
    run("halted", config, resume=CHECKPOINT)
    assert same(tmp_path / "half", tmp_path / "halted")
    run("full")
    assert not same(tmp_path / "half", tmp_path / "full")
    assert all(v.dtype == torch.float32 for v in tensors(tmp_path / "half").values())


def test_batches_may_be_loaded_ahead(run: Run, tmp_path: Path) -> None:
    run("plain", small_config(optim__steps=3))
    run("ahead", small_config(optim__steps=3), session=SessionSettings(workers=1))
    assert same(tmp_path / "plain", tmp_path / "ahead")


class Bent(TrainingStage):
    """A stage of one number, whose loss stops being finite."""

    def __init__(self) -> None:
        self.model = nn.Linear(1, 1)

    def loss(self, batch: Batch, step: int) -> dict[str, Tensor]:
        return {"pixels": self.model(batch.low[:1, 0, :1, :1]).sum() / (0.0 if step else 1.0)}

    def upscale(self, low: Tensor) -> Tensor:
        return low

    def product(self) -> TinySR:
        raise NotImplementedError


def test_a_loss_that_is_not_finite_ends_the_run(tmp_path: Path) -> None:
    config = small_config()
    with pytest.raises(CheckpointError, match=r"loss 'loss' is (nan|-?inf) at step 1"):
        train(Bent(), config, PatchBatches(config), tmp_path, session=SessionSettings(save_every=0))
    assert read_progress(tmp_path / CHECKPOINT).step == 1


def test_a_measured_step_has_its_mean_losses_and_its_psnr(run: Run) -> None:
    seen: list[TrainingStage] = []

    def watch(stage: TrainingStage) -> dict[str, float]:
        seen.append(stage)
        return {"psnr": 21.5}

    progress = run("one", session=SessionSettings(watch=watch, watch_every=4))
    assert [row["step"] for row in progress.history] == [4, 6]
    assert progress.history[0]["psnr"] == 21.5
    assert progress.history[0]["l1"] > 0


def test_a_run_that_is_killed_while_it_measures_keeps_the_step(run: Run, tmp_path: Path) -> None:
    def killed(_: TrainingStage) -> dict[str, float]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("one", session=SessionSettings(watch=killed, watch_every=4))
    assert read_progress(tmp_path / "one" / CHECKPOINT).step == 4


def test_a_run_leaves_its_product_its_record_and_its_logs(tmp_path: Path) -> None:
    config = small_config(optim__steps=2)
    run_stage(
        StageRun(config=config, folder=tmp_path),
        session=SessionSettings(watch=lambda _: {"psnr": 20.0}),
    )
    assert load(tmp_path / PRODUCT).config == load_teacher(config).config
    import json

    record = json.loads((tmp_path / "run.json").read_text())
    assert RunConfig.model_validate(record["config"]) == config
    assert record["history"][0]["psnr"] == 20.0
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "logs"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2]
    assert [event.value for event in events.Scalars("photos/psnr")] == [20.0]
