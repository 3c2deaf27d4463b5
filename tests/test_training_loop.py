"""The loop: it learns, resumes to the same result, and stops when asked."""

import dataclasses
import os
import signal
from pathlib import Path

import pytest
import torch

from tinysr.errors import CheckpointError, TinySRError, UnsupportedError
from tinysr.training import RECIPES, Phase, Schedule, TrainConfig, train
from tinysr.training.checkpoint import CHECKPOINT, Progress, read_ema
from tinysr.training.loop import new_state, pixel_loss
from tinysr.training.replicas import Replicas


@pytest.fixture
def config() -> TrainConfig:
    return dataclasses.replace(
        RECIPES["nano"],
        steps=4,
        warmup=1,
        phases=(Phase(share=1, patch=32, batch=2, bfloat16=False),),
        image_side=64,
        pool=2,
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return read_ema(folder / CHECKPOINT)[1]


def stop_after(step: int) -> Schedule:
    def report(progress: Progress, _: float) -> None:
        if progress.step == step:
            os.kill(os.getpid(), signal.SIGINT)

    return Schedule(report=report)


def test_a_resumed_run_ends_as_an_uninterrupted_one(config: TrainConfig, tmp_path: Path) -> None:
    train(config, tmp_path / "straight")
    _, stopped = train(config, tmp_path / "halted", schedule=stop_after(2))
    assert stopped.step == 2
    _, done = train(config, tmp_path / "halted", resume=True)
    assert done.step == 4
    straight, halted = weights(tmp_path / "straight"), weights(tmp_path / "halted")
    assert straight.keys() == halted.keys()
    assert all(torch.equal(straight[name], halted[name]) for name in straight)


def test_steps_change_the_weights(config: TrainConfig, tmp_path: Path) -> None:
    train(config, tmp_path)
    start = new_state(config).ema.state_dict()
    moved = [n for n, v in weights(tmp_path).items() if not torch.equal(v, start[n])]
    assert len(moved) > len(start) / 2


def test_a_few_steps_on_one_batch_lower_its_loss(config: TrainConfig) -> None:
    state = new_state(config)
    low = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    high = torch.nn.functional.interpolate(low, scale_factor=4, mode="nearest")
    losses = []
    optimizer = torch.optim.AdamW(state.model.parameters(), lr=1e-4)
    for _ in range(25):
        loss = pixel_loss(state.model(low), high, 0.1)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


def test_two_processes_give_the_gradients_of_one(config: TrainConfig, tmp_path: Path) -> None:
    train(config, tmp_path / "one")
    train(config, tmp_path / "two", schedule=Schedule(processes=2))
    one, two = weights(tmp_path / "one"), weights(tmp_path / "two")
    worst = max((one[name] - two[name]).abs().max().item() for name in one)
    # Adam makes full steps of gradients that are all rounding; their number is small.
    assert worst <= 4 * 2 * config.learning_rate
    apart = torch.cat([(one[n] - two[n]).flatten() for n in one])
    moved = torch.cat(
        [(one[n] - v).flatten() for n, v in new_state(config).ema.state_dict().items()]
    )
    assert apart.norm() < 0.2 * moved.norm()


def test_a_lost_process_ends_the_run(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinysr.training.replicas._PATIENCE", 0.5)
    model = new_state(config).model
    with Replicas(model, lambda *_: torch.zeros(()), 2) as replicas:
        replicas._workers[0].kill()
        with pytest.raises(TinySRError, match="resume"):
            replicas.backward(0)


def test_batches_that_do_not_divide_are_refused(config: TrainConfig, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="3 processes"):
        train(config, tmp_path, schedule=Schedule(processes=3))


def test_a_folder_with_a_run_is_not_overwritten(config: TrainConfig, tmp_path: Path) -> None:
    train(config, tmp_path, schedule=stop_after(1))
    with pytest.raises(CheckpointError, match="resume it or choose"):
        train(config, tmp_path)


def test_another_runs_checkpoint_is_refused(config: TrainConfig, tmp_path: Path) -> None:
    train(config, tmp_path, schedule=stop_after(1))
    with pytest.raises(CheckpointError, match="another seed"):
        train(dataclasses.replace(config, seed=1), tmp_path, resume=True)


def test_the_number_of_steps_may_change_and_is_on_record(
    config: TrainConfig, tmp_path: Path
) -> None:
    train(config, tmp_path, schedule=stop_after(1))
    _, progress = train(dataclasses.replace(config, steps=2), tmp_path, resume=True)
    assert progress.step == 2
    assert {"step": 1, "changed": {"steps": [4, 2]}} in progress.history


@pytest.mark.parametrize("content", [None, b"", b"\x00" * 64], ids=["absent", "empty", "damaged"])
def test_an_unusable_checkpoint_is_named(
    config: TrainConfig, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(CheckpointError, match="training checkpoint"):
        train(config, tmp_path, resume=True)


def test_a_loss_that_is_not_finite_ends_the_run(
    config: TrainConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "tinysr.training.loop.pixel_loss", lambda image, *_: image.sum() * float("nan")
    )
    with pytest.raises(CheckpointError, match="loss is nan"):
        train(config, tmp_path)
    assert not (tmp_path / CHECKPOINT).exists()


def test_the_rate_rises_then_falls_to_its_end() -> None:
    config = TrainConfig()
    rates = [config.rate(step) for step in range(config.steps + 1)]
    assert rates[0] < rates[config.warmup - 1] == pytest.approx(config.learning_rate)
    assert rates[-1] == pytest.approx(config.final_rate)
    assert rates[config.warmup :] == sorted(rates[config.warmup :], reverse=True)


def test_the_transformer_waits_then_learns(config: TrainConfig, tmp_path: Path) -> None:
    late = dataclasses.replace(config, transformer_start=0.5)
    start = new_state(late).model.state_dict()
    linear, bias = "transformer.proj_out.weight", "transformer.proj_out.bias"

    def moved(step: int) -> set[str]:
        train(late, tmp_path / str(step), schedule=stop_after(step))
        now = weights(tmp_path / str(step))
        return {name for name in (linear, bias) if not torch.equal(now[name], start[name])}

    # The bias is the wiring's phase pattern: it learns with the decoder.
    assert moved(2) == {bias}
    assert moved(3) == {linear, bias}


def test_the_last_steps_show_attention_a_whole_tile() -> None:
    config = RECIPES["nano"]
    assert config.phase(0).patch == 128
    assert config.phase(config.steps - 1).patch // 16 == 32


def test_a_config_survives_json_and_names_what_it_does_not_know() -> None:
    import json

    config = RECIPES["nano"]
    data = json.loads(config.to_json())
    assert TrainConfig.from_dict(data) == config
    with pytest.raises(CheckpointError, match="momentum"):
        TrainConfig.from_dict(data | {"momentum": 1})


@pytest.mark.parametrize(
    "phases", [(Phase(share=0.5, patch=32, batch=1),), (Phase(share=1, patch=40, batch=1),)]
)
def test_a_config_that_can_not_run_is_refused(phases: tuple[Phase, ...]) -> None:
    with pytest.raises(CheckpointError):
        TrainConfig(phases=phases)
