"""The pruning stage: engine, teacher, LoRA and masks together, from config to product."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.recipes import SHAPE, small_config
from tinysr.errors import UnsupportedError
from tinysr.models import TinySR, load
from tinysr.models.families.tinysr import save_single_file
from tinysr.models.families.tinysr.seeded import seed_model
from tinysr.training import StageRun, config_path, read_config, run_stage
from tinysr.training.data import PatchBatches
from tinysr.training.engine import Batch, SessionSettings
from tinysr.training.losses import squared_error
from tinysr.training.pruning.masked import prune
from tinysr.training.recipes import RECIPES
from tinysr.training.runner import PRODUCT, RECORD
from tinysr.training.stages import STAGES, Context
from tinysr.training.stages.pixel_loss import ImageLoss, Weights
from tinysr.training.stages.prune import PruneOptions, PruneStage, hard_mask
from tinysr.training.stages.shapes import ModelShape

DEPTH = 4
OPTIONS: dict[str, Any] = {"block": 2, "keep": 1, "rank": 2, "anneal": 6}
OPTIONS["image"] = {"perceptual": 1.0, "perceptual_loss": "multi-scale-gradient"}
CONTEXT = Context(seed=80, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def teacher() -> TinySR:
    return seed_model(ModelShape.model_validate(SHAPE | {"depth": DEPTH}).config(), 3)


@pytest.fixture(scope="module")
def batch() -> Batch:
    batches = PatchBatches(small_config())
    return batches.finish(batches.load(0))


def stage_of(teacher: TinySR, **changes: Any) -> PruneStage:
    options = PruneOptions.model_validate(OPTIONS | changes)
    return PruneStage(teacher, options, ImageLoss(options.image, CONTEXT), 80)


def prune_config(**changes: Any) -> Any:
    options = {"stage": "prune", "options": dict(OPTIONS), "optim__learning_rate": 1e-3}
    return small_config(**options, **changes)


def test_nothing_is_lost_under_a_full_mask(teacher: TinySR, batch: Batch) -> None:
    stage = stage_of(teacher)
    terms = stage.losses(batch, torch.ones(DEPTH))
    assert terms["distillation"] == 0
    assert terms["perceptual"] > 0


def test_the_losses_are_those_of_the_pruned_model(teacher: TinySR, batch: Batch) -> None:
    keep = (0, 2)
    z = teacher.encode(batch.low)
    expected = squared_error(prune(teacher, keep).predict(z), teacher.predict(z))
    for weight in (1.0, 0.5):
        stage = stage_of(teacher, distillation=weight)
        found = stage.losses(batch, hard_mask(keep, DEPTH))["distillation"]
        torch.testing.assert_close(found.detach(), weight * expected)


def test_lora_and_logits_train_and_the_teacher_stays(teacher: TinySR, batch: Batch) -> None:
    stage = stage_of(teacher, bypass=False)
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    parameters = [p for group in stage.groups() for p in group.parameters]
    assert {id(p) for p in parameters} == {
        id(p) for p in stage.model.parameters() if p.requires_grad
    }
    optimizer, touched = torch.optim.SGD(parameters, lr=1e-3), set()
    for step in range(8):  # A learns once B is no longer 0, a layer's once a mask keeps it
        optimizer.zero_grad()
        torch.stack(list(stage.loss(batch, step).values())).sum().backward()
        optimizer.step()
        touched |= {id(p) for p in parameters if p.grad is not None and p.grad.any()}
    assert touched == {id(p) for p in parameters}
    for name, tensor in teacher.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_a_step_s_mask_is_always_the_same(teacher: TinySR, batch: Batch) -> None:
    stage = stage_of(teacher)
    first, again, others = (
        float(stage.loss(batch, step)["distillation"].detach()) for step in (3, 3, 9)
    )
    assert first == again
    assert {first, others} <= {
        float(stage.losses(batch, hard_mask(keep, DEPTH))["distillation"].detach())
        for keep in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
    }


def test_without_trades_every_block_keeps_its_share(teacher: TinySR) -> None:
    stage = stage_of(teacher, trades=False)
    with torch.no_grad():
        stage.model.distribution.move_logits.copy_(torch.tensor([[0.0, 9.0, 0.0]]))
    assert stage.decision == (0, 2)
    assert all(not group.parameters or p.requires_grad for group in stage.groups()
               for p in group.parameters)  # fmt: skip


def test_a_run_hands_on_the_decided_layers_of_the_teacher(teacher: TinySR, tmp_path: Path) -> None:
    save_single_file(teacher, tmp_path / "teacher.safetensors")
    job = StageRun(
        config=prune_config(), folder=tmp_path / "run",
        inputs={"teacher": tmp_path / "teacher.safetensors"},
    )  # fmt: skip
    session = SessionSettings(watch_every=0)
    run_stage(job, session=session)
    record = json.loads((tmp_path / "run" / RECORD).read_text())
    kept = record["product"]["kept"]
    assert len(kept) == 2
    product = load(tmp_path / "run" / PRODUCT)
    expected = prune(teacher, tuple(kept)).state_dict()
    for name, tensor in product.state_dict().items():
        assert torch.equal(tensor, expected[name])


def test_a_resumed_search_ends_as_an_uninterrupted_one(teacher: TinySR, tmp_path: Path) -> None:
    save_single_file(teacher, tmp_path / "teacher.safetensors")
    inputs = {"teacher": tmp_path / "teacher.safetensors"}
    session = SessionSettings(watch_every=0, keep_every=3)
    straight = StageRun(config=prune_config(), folder=tmp_path / "a", inputs=inputs)
    run_stage(straight, session=session)
    halted = StageRun(
        config=prune_config(), folder=tmp_path / "b", inputs=inputs,
        checkpoint=next((tmp_path / "a").glob("*00000003*")),
    )  # fmt: skip
    run_stage(halted, resume=True, session=session)
    ends = [(tmp_path / run / "checkpoint.safetensors").read_bytes() for run in "ab"]
    # Headers hold the seconds; the tensors behind them are what must agree.
    tails = [end[8 + int.from_bytes(end[:8], "little") :] for end in ends]
    assert tails[0] == tails[1]


def test_a_search_needs_its_teacher(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="needs a teacher"):
        run_stage(
            StageRun(config=prune_config(), folder=tmp_path), session=SessionSettings(watch_every=0)
        )


@pytest.mark.parametrize(
    ("image", "message"),
    [({"perceptual": 1.0}, "--input features=FILE"), ({"l1": 1.0, "gan": 0.1}, "has no GAN")],
)
def test_losses_that_can_not_be_had_are_refused(
    teacher: TinySR, image: dict[str, float], message: str, tmp_path: Path
) -> None:
    save_single_file(teacher, tmp_path / "teacher.safetensors")
    inputs = {"teacher": tmp_path / "teacher.safetensors"}
    job = StageRun(
        config=prune_config(options__image=image), folder=tmp_path / "run", inputs=inputs
    )
    with pytest.raises(UnsupportedError, match=message):
        run_stage(job, session=SessionSettings(watch_every=0))


@pytest.mark.parametrize("recipe", [r for r, stages in RECIPES.items() if "prune" in stages])
def test_packaged_configs_fit_their_models(recipe: str) -> None:
    config = read_config(config_path(f"{recipe}/prune"))
    options = STAGES["prune"].options.model_validate(config.options)
    assert isinstance(options, PruneOptions)
    layers = {"nano": 12, "tinysr": 24}[recipe]
    with torch.device("meta"):
        shape = ModelShape.model_validate(SHAPE | {"depth": layers})
        task = ImageLoss(Weights(), CONTEXT)
        narrow = options.model_copy(update={"rank": 1})
        stage = PruneStage(TinySR(shape.config()), narrow, task, 80)
    assert stage.space.kept == layers // 2
    if recipe == "tinysr":
        assert (config.optim.steps, config.optim.learning_rate) == (100_000, 5e-5)
        assert (config.phases[0].batch, options.rank, config.seed) == (8, 64, 80)
        assert (options.distillation, options.image) == (1, Weights(perceptual=1))
