"""The stage ``teach``: crops that a teacher has enlarged, kept for later stages."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor

from tests.support.image_teachers import save_plain, small_teacher
from tests.support.lessons import hear_nothing, lesson
from tests.support.recipes import SHAPE, small_config
from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.models.families.tinysr import save_single_file
from tinysr.training.engine import Batch
from tinysr.training.image_teachers import INDEX, read_taught, teach
from tinysr.training.image_teachers.batches import TaughtBatches
from tinysr.training.image_teachers.shards import shard_origin, write_shard
from tinysr.training.stages import Context, build

pytestmark = pytest.mark.usefixtures("one_core")


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
    assert teach(half, said=hear_nothing)
    assert first.stat().st_mtime_ns == before
    for name in ("shard-00000.safetensors", "shard-00001.safetensors"):
        assert (half.folder / name).read_bytes() == (taught / name).read_bytes()


def test_a_lesson_may_become_longer_or_shorter(taught: Path, tmp_path: Path) -> None:
    folder = tmp_path / "teach"
    heard: list[str] = []
    for shards, new in ((1, 1), (2, 1), (1, 0)):
        heard.clear()
        assert teach(lesson(folder, shards=shards), said=heard.append)
        assert len(heard) == new
        assert len(read_taught(folder).shards) == shards
    assert (folder / "shard-00001.safetensors").read_bytes() == (
        taught / "shard-00001.safetensors"
    ).read_bytes()


def test_the_autoencoder_starts_from_weights_that_upscale(tmp_path: Path) -> None:
    options = {"model": SHAPE}
    coder = small_config(stage="autoencoder", options=options)
    first = build(coder, Context(seed=3, device=torch.device("cpu"))).product()
    save_single_file(first, tmp_path / "start.safetensors")
    context = Context(
        seed=80, device=torch.device("cpu"), inputs={"vae": tmp_path / "start.safetensors"}
    )
    stage = build(coder, context)
    made, given = stage.product().state_dict(), first.state_dict()
    kept = [name for name in made if name.startswith(("encoder", "decoder"))]
    assert kept
    assert all(torch.equal(made[name], given[name]) for name in kept)
    assert not made["transformer.proj_out.bias"].any()
    assert not torch.equal(
        made["transformer.proj_out.weight"], given["transformer.proj_out.weight"]
    )


def test_crops_of_another_lesson_are_not_mixed_in(taught: Path, tmp_path: Path) -> None:
    mine = lesson(tmp_path / "teach")
    teach(mine, said=hear_nothing)
    with pytest.raises(CheckpointError, match="another config, teacher or data"):
        teach(lesson(tmp_path / "teach", seed=81), said=hear_nothing)
    save_plain(small_teacher(9), tmp_path / "teacher.safetensors")
    with pytest.raises(CheckpointError, match="another config, teacher or data"):
        teach(mine, said=hear_nothing)


def test_shards_that_changed_are_refused(taught: Path, tmp_path: Path) -> None:
    folder = tmp_path / "teach"
    teach(lesson(folder), said=hear_nothing)
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
        teach(lesson(folder), said=hear_nothing)


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


def draw_one(taught: Path, **shares: float) -> Batch:
    data = {f"data__{name}": share for name, share in shares.items()}
    config = small_config(phases=[{"patch": 32, "batch": 6}], **data)
    batches = TaughtBatches(config, read_taught(taught))
    return batches.finish(batches.load(3))


def test_what_needs_no_repair_has_the_original_as_its_target(taught: Path) -> None:
    plain, intact, soft = (draw_one(taught, **s) for s in ({}, {"intact": 1.0}, {"soft": 1.0}))
    assert plain.taught is not None
    assert not torch.equal(plain.taught, plain.high)
    for batch in (intact, soft):
        assert batch.taught is not None
        assert torch.equal(batch.taught, batch.high)
        assert torch.equal(batch.low, (batch.low * 255).round() / 255)
    shrunk = F.interpolate(intact.high, scale_factor=0.25, mode="area")
    assert (intact.low - shrunk).abs().mean() < 0.02

    def roughness(image: Tensor) -> float:
        return float(image.diff(dim=2).abs().mean())

    assert roughness(soft.high) < 0.5 * roughness(intact.high)


def test_originals_grow_dark_and_grainy_where_asked_for(taught: Path) -> None:
    plain, dark, grainy = (
        draw_one(taught, soft=1.0, **more) for more in ({}, {"dark": 1.0}, {"grain": 1.0})
    )
    assert dark.high.mean() < 0.5 * plain.high.mean()
    assert grainy.high.diff(dim=2).abs().mean() > plain.high.diff(dim=2).abs().mean()
    for batch in (dark, grainy):
        assert batch.taught is not None
        assert torch.equal(batch.taught, batch.high)


def test_some_crops_give_way_to_one_colour(taught: Path) -> None:
    def flat(share: float) -> list[bool]:
        config = small_config(phases=[{"patch": 16, "batch": 6}], data__flat=share)
        batches = TaughtBatches(config, read_taught(taught))
        found = []
        for step in range(20):
            batch = batches.finish(batches.load(step))
            assert batch.taught is not None
            kinds = zip(batch.low, batch.high, batch.taught, strict=True)
            for images in kinds:
                colours = torch.stack([image.mean((1, 2)) for image in images])
                even = all(bool((i == i[:, :1, :1]).all()) for i in images)
                found.append(even and bool((colours - colours[0]).abs().max() < 1e-6))
        return found

    assert 20 < sum(flat(0.5)) < 100
    assert all(flat(1.0))
    assert not any(flat(0.0))


def test_crops_made_before_a_setting_existed_are_still_ones_own(tmp_path: Path) -> None:
    """A lesson takes an hour; a new setting with its usual value must not throw it away."""
    mine = lesson(tmp_path / "teach")
    teach(mine, said=hear_nothing)
    for path in mine.folder.glob("shard-*.safetensors"):
        origin = shard_origin(path)
        assert origin is not None
        del origin["config"]["data"]["flat"]
        write_shard(path, load_file(path), origin)
    heard: list[str] = []
    assert teach(mine, said=heard.append)
    assert heard == []


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
