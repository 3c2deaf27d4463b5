"""Processes and devices: two give what one gives, and those that are not here are refused."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.support.recipes import small_config
from tests.support.training_runs import Run, load_teacher, tensors
from tinysr.errors import MissingBackendError, UnsupportedError
from tinysr.models import load
from tinysr.training import RunConfig
from tinysr.training.engine.team import gather
from tinysr.training.runner import PRODUCT

pytestmark = pytest.mark.usefixtures("one_core")


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


def test_a_device_that_is_not_here_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="expected one of auto, cpu, cuda"), gather("tpu"):
        pass
    if not torch.cuda.is_available():
        with pytest.raises(MissingBackendError, match="--device cpu"), gather("cuda"):
            pass
