"""The engine: it learns, resumes to the same result, shares work and stops when asked."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.support.recipes import small_config
from tinysr.errors import CheckpointError, MissingBackendError, UnsupportedError
from tinysr.models import TinySR, load
from tinysr.training import Job, RunConfig, run_stage
from tinysr.training.data import PatchBatches
from tinysr.training.engine import (
    CHECKPOINT,
    Batch,
    Progress,
    Session,
    Stage,
    read_progress,
    train,
)
from tinysr.training.engine.team import gather
from tinysr.training.runner import PRODUCT
from tinysr.training.stages import Context, build

Run = Callable[..., Progress]

pytestmark = pytest.mark.usefixtures("two_threads_less")


@pytest.fixture(scope="module")
def two_threads_less() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return a function that trains a small teacher in a folder, showing and measuring nothing."""

    def call(
        folder: str,
        config: RunConfig | None = None,
        *,
        resume: str | None = None,
        session: Session | None = None,
        inputs: Mapping[str, str] | None = None,
    ) -> Progress:
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


def tensors(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / CHECKPOINT)


def stop_after(step: int, number: signal.Signals = signal.SIGINT) -> Session:
    def report(progress: Progress, _: Mapping[str, float]) -> None:
        if progress.step == step:
            os.kill(os.getpid(), number)

    return Session(report=report)


def same(one: Path, other: Path) -> bool:
    first, second = tensors(one), tensors(other)
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_six_steps_are_three_and_three_more_bit_for_bit(
    run: Run, tmp_path: Path, number: signal.Signals
) -> None:
    run("straight")
    assert run("halted", session=stop_after(3, number)).step == 3
    assert run("halted", resume=CHECKPOINT).step == 6
    assert same(tmp_path / "straight", tmp_path / "halted")


def test_any_checkpoint_that_was_kept_leads_to_the_same_result(run: Run, tmp_path: Path) -> None:
    run("straight", session=Session(keep_every=2))
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


def distance(one: Path, other: Path, start: Mapping[str, Tensor]) -> float:
    """Return how far two runs' weights are apart, over how far they went."""
    first, second = tensors(one), tensors(other)
    names = [name for name in first if name.startswith("model.")]
    apart = torch.cat([(first[n] - second[n]).flatten() for n in names])
    moved = torch.cat([(first[n] - start[n.removeprefix("model.")]).flatten() for n in names])
    return float(apart.norm() / moved.norm())


def test_two_processes_give_what_one_gives_that_accumulates(run: Run, tmp_path: Path) -> None:
    config = small_config(optim__accumulate=2, optim__steps=3)
    run("one", config)
    shared = small_config(optim__steps=3)
    (tmp_path / "config.toml").write_text(toml(shared))
    command = [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"),
        *("--no-python", str(Path(sys.executable).with_name("tinysr")), "train", "nano/teacher"),
        *("--config", "config.toml", "-o", "two", "--device", "cpu", "--watch-every", "0"),
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(  # noqa: S603  ours
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert load(tmp_path / "two" / PRODUCT).config == load_teacher(shared).config
    start = load_teacher(shared).state_dict()
    # Adam makes full steps of gradients that are all rounding; their number is small.
    assert distance(tmp_path / "one", tmp_path / "two", start) < 0.05
    run("half", small_config(phases=[{"patch": 32, "batch": 1}], optim__steps=3))
    assert distance(tmp_path / "one", tmp_path / "half", start) > 0.2


def load_teacher(config: RunConfig) -> TinySR:
    return build(config, Context(seed=config.seed, device=torch.device("cpu"))).product()


def toml(config: RunConfig) -> str:
    """Write a config's plain values and tables."""
    import json

    def table(name: str, values: Mapping[str, object]) -> list[str]:
        plain = {k: v for k, v in values.items() if not isinstance(v, dict)}
        lines = [name, *(f"{k} = {json.dumps(v)}" for k, v in plain.items())]
        for key, value in values.items():
            if isinstance(value, dict):
                lines += table(f"[{name.strip('[]')}.{key}]", value)
        return lines

    data = config.model_dump(mode="json")
    lines = [f"stage = {json.dumps(data['stage'])}", f"seed = {data['seed']}"]
    for phase in data["phases"]:
        lines += table("[[phases]]", phase)
    for name in ("optim", "data", "options"):
        lines += table(f"[{name}]", data[name])
    return "\n".join(lines) + "\n"


def test_batches_that_do_not_divide_are_refused(run: Run) -> None:
    with pytest.raises(UnsupportedError, match="divide by 3"):
        run("one", small_config(optim__accumulate=3))


def test_batches_may_be_loaded_ahead(run: Run, tmp_path: Path) -> None:
    run("plain", small_config(optim__steps=3))
    run("ahead", small_config(optim__steps=3), session=Session(workers=1))
    assert same(tmp_path / "plain", tmp_path / "ahead")


def test_a_folder_with_a_run_is_not_overwritten(run: Run) -> None:
    run("one", session=stop_after(1))
    with pytest.raises(CheckpointError, match="resume it or choose"):
        run("one")


def test_another_runs_checkpoint_is_refused(run: Run) -> None:
    run("one", session=stop_after(1))
    with pytest.raises(CheckpointError, match="another seed"):
        run("one", small_config(seed=1), resume=CHECKPOINT)


def test_other_inputs_are_refused(run: Run) -> None:
    run("one", session=stop_after(1), inputs={"data": "a"})
    with pytest.raises(CheckpointError, match="another data"):
        run("one", resume=CHECKPOINT, inputs={"data": "b"})


def test_the_number_of_steps_may_change_and_is_on_record(run: Run) -> None:
    run("one", session=stop_after(1))
    progress = run("one", small_config(optim__steps=2), resume=CHECKPOINT)
    assert progress.step == 2
    assert {"step": 1, "changed": {"optim.steps": [6, 2]}} in progress.history


@pytest.mark.parametrize("content", [None, b"", b"\x00" * 64], ids=["absent", "empty", "damaged"])
def test_an_unusable_checkpoint_is_named(run: Run, tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "one").mkdir()
    if content is not None:
        (tmp_path / "one" / CHECKPOINT).write_bytes(content)
    with pytest.raises(CheckpointError, match="training checkpoint"):
        run("one", resume=CHECKPOINT)


def test_a_checkpoint_of_another_model_is_refused(run: Run, tmp_path: Path) -> None:
    run("one", session=stop_after(1))
    path = tmp_path / "one" / CHECKPOINT
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    kept = {
        n: v for n, v in tensors(tmp_path / "one").items() if n != "model.decoder.layers.0.bias"
    }
    save_file(kept, path, metadata)
    with pytest.raises(CheckpointError, match=r"decoder\.layers\.0\.bias"):
        run("one", resume=CHECKPOINT)


class Bent(Stage):
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
        train(Bent(), config, PatchBatches(config), tmp_path, session=Session(save_every=0))
    assert read_progress(tmp_path / CHECKPOINT).step == 1


def test_a_measured_step_has_its_mean_losses_and_its_psnr(run: Run) -> None:
    seen: list[Stage] = []

    def watch(stage: Stage) -> dict[str, float]:
        seen.append(stage)
        return {"psnr": 21.5}

    progress = run("one", session=Session(watch=watch, watch_every=4))
    assert [row["step"] for row in progress.history] == [4, 6]
    assert progress.history[0]["psnr"] == 21.5
    assert progress.history[0]["l1"] > 0


def test_a_run_that_is_killed_while_it_measures_keeps_the_step(run: Run, tmp_path: Path) -> None:
    def killed(_: Stage) -> dict[str, float]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run("one", session=Session(watch=killed, watch_every=4))
    assert read_progress(tmp_path / "one" / CHECKPOINT).step == 4


def test_a_device_that_is_not_here_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="expected one of auto, cpu, cuda"), gather("tpu"):
        pass
    if not torch.cuda.is_available():
        with pytest.raises(MissingBackendError, match="--device cpu"), gather("cuda"):
            pass


def test_a_run_leaves_its_product_its_record_and_its_logs(tmp_path: Path) -> None:
    config = small_config(optim__steps=2)
    run_stage(Job(config=config, folder=tmp_path), session=Session(watch=lambda _: {"psnr": 20.0}))
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
