"""The stage ``teach``: crops that a teacher has enlarged, kept for later stages."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from tests.support.image_teachers import save_plain, small_teacher
from tests.support.recipes import SHAPE, small_config
from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.models import load
from tinysr.training import RecipeRun, run_chain
from tinysr.training.engine import Batch, SessionSettings
from tinysr.training.image_teachers import INDEX, Lesson, TeachConfig, read_taught, teach
from tinysr.training.image_teachers.batches import TaughtBatches
from tinysr.training.losses.gan import UNetCritic
from tinysr.training.stages import Context, build
from tinysr.training.stages.pixel_loss import Weights

pytestmark = pytest.mark.usefixtures("one_core")

TINY: dict[str, Any] = {
    "shards": 2,
    "batches": 2,
    "patch": 32,
    "batch": 2,
    "data": {"image_side": 64, "pool": 2, "refresh": 2},
}


def lesson(folder: Path, **changes: Any) -> Lesson:
    """Return a small lesson; its teacher lies beside its folder."""
    teacher = folder.parent / "teacher.safetensors"
    if not teacher.exists():
        save_plain(small_teacher(), teacher)
    config = TeachConfig.model_validate(TINY | changes)
    return Lesson(config=config, teacher=teacher, folder=folder)


def said(_line: str) -> None:
    """Hear nothing."""


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lessons") / "teach"
    assert teach(lesson(folder), said=said)
    return folder


def test_a_shard_holds_what_the_teacher_made_of_its_degraded_crops(taught: Path) -> None:
    tensors = load_file(taught / "shard-00001.safetensors")
    assert {name: tuple(t.shape) for name, t in tensors.items()} == {
        "low": (4, 3, 8, 8),
        "high": (4, 3, 32, 32),
        "taught": (4, 3, 32, 32),
    }
    with torch.no_grad():
        image = small_teacher()(tensors["low"].float() / 255)
    expected = (image.clamp(0, 1) * 255).round()
    assert (tensors["taught"].float() - expected).abs().max() <= 1
    back = F.interpolate(tensors["high"].float(), scale_factor=0.25, mode="area")
    assert (back - tensors["low"].float()).abs().mean() < 20


def test_a_lesson_that_was_stopped_goes_on_with_what_is_missing(
    taught: Path, tmp_path: Path
) -> None:
    half = lesson(tmp_path / "teach")
    asked: list[str] = []

    def stop(line: str) -> None:
        asked.append(line)
        os.kill(os.getpid(), signal.SIGTERM)

    assert not teach(half, said=stop)
    assert len(asked) == 1
    assert not (half.folder / INDEX).exists()
    first = half.folder / "shard-00000.safetensors"
    before = first.stat().st_mtime_ns
    assert teach(half, said=said)
    assert first.stat().st_mtime_ns == before
    for name in ("shard-00000.safetensors", "shard-00001.safetensors"):
        assert (half.folder / name).read_bytes() == (taught / name).read_bytes()


def test_crops_of_another_lesson_are_not_mixed_in(taught: Path, tmp_path: Path) -> None:
    mine = lesson(tmp_path / "teach")
    teach(mine, said=said)
    with pytest.raises(CheckpointError, match="another config, teacher or data"):
        teach(lesson(tmp_path / "teach", seed=81), said=said)
    save_plain(small_teacher(9), tmp_path / "teacher.safetensors")
    with pytest.raises(CheckpointError, match="another config, teacher or data"):
        teach(mine, said=said)


def test_shards_that_changed_are_refused(taught: Path, tmp_path: Path) -> None:
    folder = tmp_path / "teach"
    teach(lesson(folder), said=said)
    assert read_taught(folder).crops == 4
    shard = folder / "shard-00001.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\7")
    with pytest.raises(CheckpointError, match=r"shard-00001.*changed since it was taught"):
        read_taught(folder)
    index = json.loads((folder / INDEX).read_text())
    index["shards"][0]["file"] = "../shard"
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="not a plain file name"):
        read_taught(folder)
    (folder / INDEX).write_text("[]")
    with pytest.raises(CheckpointError, match="not a list of taught crops"):
        read_taught(folder)
    (folder / INDEX).unlink()
    with pytest.raises(CheckpointError, match="finished stage 'teach'"):
        read_taught(folder)
    (folder / "shard-00000.safetensors").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="remove it"):
        teach(lesson(folder), said=said)


def test_batches_are_parts_of_the_kept_crops_turned_alike(taught: Path) -> None:
    config = small_config(phases=[{"patch": 16, "batch": 6}], optim__steps=50)
    batches = TaughtBatches(config, read_taught(taught))
    whole = batches.finish(batches.load(7))
    parts = [batches.finish(batches.load(7, part, 2)) for part in (0, 1)]
    assert torch.equal(whole.low[0::2], parts[0].low)
    assert torch.equal(whole.high[1::2], parts[1].high)
    assert whole.low.shape == (6, 3, 4, 4)
    # Whatever was turned was turned alike: the crop's mean colours stay together.
    kept = [load_file(taught / name) for name in read_taught(taught).shards]
    wholes = torch.cat([shard["high"] for shard in kept]).float() / 255
    for low, high in zip(whole.low, whole.high, strict=True):
        assert any(_holds(full, high) for full in wholes)
        shrunk = F.interpolate(high[None], scale_factor=0.25, mode="area")[0]
        assert (shrunk - low).abs().mean() < 0.1
    with pytest.raises(UnsupportedError, match="don't fit the taught crops of 32²"):
        TaughtBatches(small_config(phases=[{"patch": 48, "batch": 2}]), read_taught(taught))


def _holds(whole: Tensor, part: Tensor) -> bool:
    """Whether ``part`` lies in ``whole``, turned or mirrored, at a multiple of 4 pixels."""
    for turn in range(4):
        for mirrored in (False, True):
            turned = torch.rot90(part.flip(2) if mirrored else part, turn, (1, 2))
            side = part.shape[1]
            for top in range(0, whole.shape[1] - side + 1, 4):
                for left in range(0, whole.shape[2] - side + 1, 4):
                    if torch.equal(whole[:, top : top + side, left : left + side], turned):
                        return True
    return False


IMAGE = {"l1": 1.0, "gradient": 0.5, "perceptual": 0.1, "perceptual_loss": "wavelet"}


@pytest.fixture(scope="module")
def batch(taught: Path) -> Batch:
    batches = TaughtBatches(small_config(phases=[{"patch": 32, "batch": 2}]), read_taught(taught))
    return batches.finish(batches.load(0))


def test_an_autoencoder_learns_to_code_originals_and_taught_images(batch: Batch) -> None:
    config = small_config(stage="autoencoder", options={"model": SHAPE, "image": IMAGE})
    stage = build(config, Context(seed=80, device=torch.device("cpu")))
    trains = {n.split(".")[0] for n, p in stage.model.named_parameters() if p.requires_grad}
    assert trains == {"encoder", "decoder"}
    optimizer = torch.optim.Adam([p for g in stage.groups() for p in g.parameters], lr=1e-4)
    values = []
    for step in range(5):
        loss = torch.stack(list(stage.loss(batch, step).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    assert values[-1] < values[0]
    assert stage.upscale(batch.low).shape == batch.high.shape


def test_the_whole_recipe_runs_on_a_small_scale(tmp_path: Path) -> None:
    save_plain(small_teacher(), tmp_path / "teacher.safetensors")
    small = [f"{key}={json.dumps(value)}" for key, value in _small().items()]
    small += [f"{stage}/phases=[{{patch = 32, batch = 2}}]" for stage in _STAGES]
    chain = RecipeRun(
        recipe="natural",
        folder=tmp_path / "natural",
        image_teacher=tmp_path / "teacher.safetensors",
        changes=small,
    )
    last = run_chain(chain, session=SessionSettings(watch_every=0), said=said)
    assert last == tmp_path / "natural" / "pixels"
    made = [load(tmp_path / "natural" / name / "model.safetensors") for name in _STAGES]
    coded, distilled, done = (model.state_dict() for model in made)
    same = {name for name in coded if torch.equal(coded[name], distilled[name])}
    assert {n for n in coded if n.startswith(("encoder", "decoder"))} <= same
    assert "transformer.proj_out.weight" not in same
    assert not torch.equal(done["decoder.layers.0.weight"], coded["decoder.layers.0.weight"])
    heard: list[str] = []
    run_chain(chain, session=SessionSettings(watch_every=0), said=heard.append)
    assert [line for line in heard if "finished before" in line] == [
        f"{name}: finished before" for name in _STAGES
    ]


_STAGES = ("autoencoder", "distil", "pixels")


def _small() -> dict[str, Any]:
    """Return changes that leave a second of the recipe."""
    values: dict[str, Any] = {
        "teach/shards": 2,
        "teach/batches": 1,
        "teach/batch": 2,
        "teach/patch": 32,
        "teach/data.image_side": 64,
        "teach/data.pool": 1,
    }
    for stage in _STAGES:
        values |= {f"{stage}/optim.steps": 2, f"{stage}/data.image_side": 64}
    for stage in ("autoencoder", "pixels"):
        values[f"{stage}/options.image.perceptual_loss"] = "wavelet"
    for name, value in SHAPE.items():
        values[f"autoencoder/options.model.{name}"] = value
    return values


@pytest.mark.parametrize(
    ("chain", "words"),
    [
        (RecipeRun(recipe="natural", folder=Path("x")), "give --image-teacher FILE"),
        (
            RecipeRun(recipe="nano", folder=Path("x"), image_teacher=Path("a.pth")),
            "no stage of 'nano'",
        ),
    ],
)
def test_teachers_that_are_missing_or_idle_are_refused(chain: RecipeRun, words: str) -> None:
    with pytest.raises(UnsupportedError, match=words):
        run_chain(chain)


def test_stages_without_taught_crops_say_so(batch: Batch, tmp_path: Path) -> None:
    from tinysr.models.checkpoints import save_single_file

    coder = small_config(stage="autoencoder", options={"model": SHAPE})
    student = build(coder, Context(seed=80, device=torch.device("cpu"))).product()
    save_single_file(student, tmp_path / "student.safetensors")
    context = Context(
        seed=80,
        device=torch.device("cpu"),
        inputs={"student": tmp_path / "student.safetensors"},
    )
    options = {"target": "taught", "latents": 1.0}
    stage = build(small_config(stage="restore", options=options), context)
    plain = Batch(low=batch.low, high=batch.high)
    with pytest.raises(UnsupportedError, match="--input taught=FOLDER"):
        stage.loss(plain, 0)
    assert stage.loss(batch, 0)["latents"] > 0
    wrong = options | {"parts": ["encoder", "transformer"]}
    with pytest.raises(UnsupportedError, match="leave encoder out of parts"):
        build(small_config(stage="restore", options=wrong), context)


def test_the_u_nets_verdict_is_of_every_pixel_and_from_its_seed() -> None:
    image = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    one, same, other = (UNetCritic(8, seed) for seed in (1, 1, 2))
    assert one(image).shape == (2, 1, 32, 48)
    assert torch.equal(one(image), same(image))
    assert not torch.equal(one(image), other(image))


def test_the_gans_weight_rises_from_its_start() -> None:
    weights = Weights(l1=1.0, gan=0.4, gan_start=10, gan_rise=4)
    assert [round(weights.gan_at(step), 2) for step in (0, 9, 10, 11, 13, 99)] == [
        0,
        0,
        0.1,
        0.2,
        0.4,
        0.4,
    ]
