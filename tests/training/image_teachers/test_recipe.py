"""The recipe that an image teacher begins, from crops to a student."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.image_teachers import save_plain, small_teacher
from tests.support.lessons import hear_nothing
from tests.support.recipes import SHAPE, small_config
from tinysr.errors import UnsupportedError
from tinysr.models import load
from tinysr.models.families.tinysr import save_single_file
from tinysr.training import RecipeRun, run_chain
from tinysr.training.engine import Batch, SessionSettings
from tinysr.training.losses.gan import UNetCritic
from tinysr.training.stages import Context, build
from tinysr.training.stages.pixel_loss import Weights

pytestmark = pytest.mark.usefixtures("one_core")


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
    last = run_chain(chain, session=SessionSettings(watch_every=0), said=hear_nothing)
    assert last == tmp_path / "natural" / "faint"
    made = [load(tmp_path / "natural" / name / "model.safetensors") for name in _STAGES]
    coded, distilled, moved, done, *_ = (model.state_dict() for model in made)
    same = {name for name in coded if torch.equal(coded[name], distilled[name])}
    assert {n for n in coded if n.startswith(("encoder", "decoder"))} <= same
    assert "transformer.proj_out.weight" not in same
    assert all(torch.equal(coded[n], moved[n]) for n in coded if n.startswith("decoder"))
    assert not torch.equal(done["decoder.layers.0.weight"], coded["decoder.layers.0.weight"])
    heard: list[str] = []
    run_chain(chain, session=SessionSettings(watch_every=0), said=heard.append)
    assert [line for line in heard if "finished before" in line] == [
        f"{name}: finished before" for name in _STAGES
    ]


_STAGES = ("autoencoder", "distil", "transformer", "pixels", "keep", "faint")


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
    for stage in ("autoencoder", "transformer", "pixels", "keep", "faint"):
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
    with pytest.raises(UnsupportedError, match="take encoder out of parts"):
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
