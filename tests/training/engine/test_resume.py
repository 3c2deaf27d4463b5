"""What a run can be resumed from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import save_file

from tests.support.recipes import small_config
from tests.support.training_runs import Run, stop_after, tensors
from tinysr.errors import CheckpointError
from tinysr.training.engine import CHECKPOINT

pytestmark = pytest.mark.usefixtures("one_core")


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
