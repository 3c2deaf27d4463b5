"""The stages: what each trains, what it hands on, and the whole recipe in a row."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.recipes import SHAPE, small_config
from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.models import ModelConfig, TinySR, TransformerConfig, VaeConfig, load
from tinysr.models.checkpoints import save_single_file
from tinysr.training import RECIPES, Chain, Job, RunConfig, config_path, read_config, run_chain
from tinysr.training.data import PatchBatches
from tinysr.training.engine import CHECKPOINT, Batch, Session, Stage, train
from tinysr.training.image_teachers.config import TEACH
from tinysr.training.init import initialise
from tinysr.training.provenance import packaged_recipe, provenance
from tinysr.training.runner import PRODUCT, RECORD, run_stage
from tinysr.training.stages import STAGES, Context, build
from tinysr.training.stages.joined import with_autoencoder

pytestmark = pytest.mark.usefixtures("one_core")

QUIET = Session(watch_every=0)


def model(depth: int, width: int, *, separable: bool, seed: int = 1) -> TinySR:
    vae = VaeConfig(
        width=width,
        encoder_blocks=(1, 1, 1, 1),
        decoder_blocks=(1, 1, 1, 1),
        separable_encoder=separable,
    )
    transformer = TransformerConfig(depth=depth, heads=1, pooled_size=8)
    return initialise(TinySR(ModelConfig(vae=vae, transformer=transformer)), seed)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write a teacher and students in the roles that stages ask for."""
    folder = tmp_path_factory.mktemp("inputs")
    made = {
        "teacher": model(4, 32, separable=False),
        "student": model(2, 32, separable=False, seed=2),
        "vae": model(4, 26, separable=True, seed=3),
    }
    for role, module in made.items():
        save_single_file(module, folder / f"{role}.safetensors")
    return {role: folder / f"{role}.safetensors" for role in made}


SMALL_VAE = {
    "width": 26,
    "separable_encoder": True,
    "encoder_blocks": [1, 1, 1, 1],
    "decoder_blocks": [1, 1, 1, 1],
}
IMAGE = {"l1": 1.0, "l2": 5.0, "perceptual": 1.0, "perceptual_loss": "wavelet", "gan": 0.3}
OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "encoder": ("vae-encoder", {"model": SMALL_VAE}),
    "decoder": ("vae-decoder", {"latents": "restored", "loss": IMAGE | {"critic_width": 8}}),
    "decoder, encoded": ("vae-decoder", {"latents": "encoded", "loss": {"l1": 1.0}}),
    "restore latents": ("restore", {"latents": 1.0}),
    "restore with lora": ("restore", {"latents": 1.0, "lora_rank": 4}),
    "restore images": (
        "restore",
        {"parts": ["encoder", "transformer", "decoder"], "image": IMAGE | {"critic_width": 8}},
    ),
}


def stage_of(name: str, inputs: dict[str, Path], **changes: Any) -> tuple[RunConfig, Stage]:
    kind, options = OPTIONS[name]
    config = small_config(
        stage=kind, options=options, optim__steps=3, optim__critic_rate=1e-4, **changes
    )
    own = {role: path for role, path in inputs.items() if role in STAGES[config.stage].inputs}
    return config, build(config, Context(seed=80, device=torch.device("cpu"), inputs=own))


@pytest.fixture(scope="module")
def batch() -> Batch:
    batches = PatchBatches(small_config())
    return batches.finish(batches.load(0))


@pytest.mark.parametrize("name", OPTIONS)
def test_a_stage_learns_what_it_is_for(name: str, inputs: dict[str, Path], batch: Batch) -> None:
    _, stage = stage_of(name, inputs)
    optimizer = torch.optim.Adam([p for g in stage.groups() for p in g.parameters], lr=1e-4)
    first, last = None, None
    for step in range(6):
        terms = stage.loss(batch, step)
        terms.pop("gan", None)  # the critic stands still here
        loss = torch.stack(list(terms.values())).sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        first, last = first or loss.item(), loss.item()
    assert last is not None
    assert first is not None
    assert last < first


TRAINS = {
    "encoder": {"encoder"},
    "decoder": {"decoder"},
    "decoder, encoded": {"decoder"},
    "restore latents": {"transformer"},
    "restore with lora": {"transformer"},
    "restore images": {"encoder", "transformer", "decoder"},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_stage_changes_its_parts_alone_and_resumes(
    name: str, inputs: dict[str, Path], tmp_path: Path
) -> None:
    config, stage = stage_of(name, inputs)
    assert isinstance(stage.model, TinySR)
    before = {n: v.clone() for n, v in stage.product().state_dict().items()}
    train(stage, config, PatchBatches(config), tmp_path / "a", session=QUIET)
    after = stage.product().state_dict()
    moved = {key.split(".")[0] for key in after if not torch.equal(after[key], before[key])}
    assert moved == TRAINS[name]
    short, halted = stage_of(
        name,
        inputs,
    )
    del short
    stop = dataclasses.replace(QUIET, keep_every=1)
    train(halted, config, PatchBatches(config), tmp_path / "b", session=stop)
    _, again = stage_of(name, inputs)
    kept = tmp_path / "b" / "step-00000001.safetensors"
    train(again, config, PatchBatches(config), tmp_path / "b", resume=kept, session=QUIET)
    assert all(torch.equal(v, after[n]) for n, v in again.product().state_dict().items())


@pytest.mark.parametrize("name", OPTIONS)
def test_a_stage_upscales_with_what_there_is(name: str, inputs: dict[str, Path]) -> None:
    _, stage = stage_of(name, inputs)
    with torch.no_grad():
        assert stage.upscale(torch.rand(1, 3, 16, 16)).shape == (1, 3, 64, 64)


def test_an_encoder_hands_on_the_teachers_transformer(inputs: dict[str, Path]) -> None:
    _, stage = stage_of("encoder", inputs)
    product, teacher = stage.product(), load(inputs["teacher"])
    assert product.config.vae.width == 26
    theirs = teacher.transformer.state_dict()
    assert all(torch.equal(v, theirs[n]) for n, v in product.transformer.state_dict().items())


def test_a_restoration_takes_its_autoencoder_from_another_model(inputs: dict[str, Path]) -> None:
    _, stage = stage_of("restore latents", inputs)
    assert stage.product().config.vae.width == 26
    assert stage.product().config.transformer.depth == 2
    joined = with_autoencoder(load(inputs["student"]), load(inputs["vae"]))
    low = torch.rand(1, 3, 16, 16)
    student, vae = load(inputs["student"]), load(inputs["vae"])
    z = vae.encode(low)
    assert torch.equal(joined(low), vae.decode(z - student.predict(z)))


def test_a_lora_is_small_and_merged_at_the_end(inputs: dict[str, Path], tmp_path: Path) -> None:
    config, stage = stage_of("restore with lora", inputs)
    train(stage, config, PatchBatches(config), tmp_path, session=QUIET)
    from safetensors.torch import load_file

    saved = [name for name in load_file(tmp_path / CHECKPOINT) if name.startswith("model.")]
    assert saved
    assert all(".lora_" in name for name in saved)
    merged, plain = stage.product().transformer, load(inputs["student"]).transformer
    assert merged.state_dict().keys() == plain.state_dict().keys()


def test_the_critic_learns_and_is_saved(inputs: dict[str, Path], tmp_path: Path) -> None:
    config, stage = stage_of("restore images", inputs)
    assert stage.critic is not None
    before = {n: v.clone() for n, v in stage.critic.state_dict().items()}
    progress = train(
        stage,
        config,
        PatchBatches(config),
        tmp_path,
        session=Session(watch=lambda _: {"psnr": 0.0}),
    )
    after = stage.critic.state_dict()
    assert any(not torch.equal(after[n], v) for n, v in before.items())
    assert {"l1", "l2", "perceptual", "gan", "critic"} <= progress.history[-1].keys()


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("restore", {}, "a restoration needs a loss"),
        ("restore", {"image": {"gan": 1.0}}, "a restoration needs a loss"),
        ("restore", {"latents": 1.0, "image": {"gan": 1.0}}, "a GAN alone ties"),
        ("restore", {"image": {"perceptual": 1.0}}, "needs a feature network"),
        ("restore", {"latents": 1.0, "parts": []}, "parts"),
        ("restore", {"latents": 1.0, "rank": 1}, "rank: Extra inputs"),
        ("vae-decoder", {"loss": {"perceptual": 1, "perceptual_loss": "vgg"}}, "perceptual_loss"),
    ],
)
def test_losses_that_can_not_be_are_refused(
    inputs: dict[str, Path], kind: str, options: dict[str, Any], message: str
) -> None:
    config = small_config(stage=kind, options=options)
    with pytest.raises(UnsupportedError, match=message):
        build(config, Context(seed=1, device=torch.device("cpu"), inputs=inputs))


def test_a_missing_input_is_named() -> None:
    config = small_config(stage="vae-encoder", options={"model": SMALL_VAE})
    with pytest.raises(UnsupportedError, match="needs a teacher: give it with --input"):
        build(config, Context(seed=1, device=torch.device("cpu")))


@pytest.mark.parametrize(
    "name",
    [f"{recipe}/{s}" for recipe in RECIPES for s in RECIPES[recipe] if s != TEACH],
)
def test_every_packaged_config_is_one_of_a_stage(name: str) -> None:
    config = read_config(config_path(name))
    STAGES[config.stage].options.model_validate(config.options)


@pytest.mark.parametrize("recipe", RECIPES)
def test_stages_that_train_the_same_parts_see_other_images(recipe: str) -> None:
    names = [stage for stage in RECIPES[recipe] if stage != TEACH]
    seeds = [read_config(config_path(f"{recipe}/{stage}")).seed for stage in names]
    pixels = [s for n, s in zip(names, seeds, strict=True) if n in ("restore-3", "pixels")]
    assert all(seeds.count(seed) == 1 for seed in pixels)


def test_the_paper_sized_configs_hold_the_papers_figures() -> None:
    rows = {}
    for stage in ("vae-encoder", "vae-decoder", "restore-1", "restore-2"):
        config = read_config(config_path(f"tinysr/{stage}"))
        rows[stage] = (config.optim.steps, config.phases[0].batch, config.optim.learning_rate)
        assert config.data.degradation == "real-esrgan"
        assert config.phases[0].patch == 512
    assert rows == {
        "vae-encoder": (100_000, 64, 3e-4),
        "vae-decoder": (200_000, 64, 5e-4),
        "restore-1": (150_000, 128, 1e-4),
        "restore-2": (50_000, 96, 1e-6),
    }
    last = read_config(config_path("tinysr/restore-2")).options
    assert last["image"] == {"l2": 5.0, "perceptual": 1.0, "gan": 0.3, "critic_width": 64}
    assert last["lora_rank"] == 64


TINY = (
    "optim.steps=1",
    "optim.warmup=0",
    "phases=[{patch = 32, batch = 1}]",
    "data.image_side=64",
    "data.pool=1",
    f"teacher/options.model={json.dumps(SHAPE | {'depth': 4}).replace(':', ' =')}",
    f"vae-encoder/options.model={json.dumps(SMALL_VAE).replace(':', ' =')}",
    "prune/options.rank=2",
)


def chain(folder: Path, *changes: str, **fields: Any) -> Chain:
    values = [change.replace('" =', '" = ') for change in (*TINY, *changes)]
    return Chain(recipe="nano", folder=folder, changes=values, **fields)


def test_a_recipe_runs_all_its_stages_and_skips_what_is_finished(tmp_path: Path) -> None:
    said: list[str] = []
    last = run_chain(chain(tmp_path), session=QUIET, said=said.append)
    assert last == tmp_path / "restore-3"
    assert said == [f"{stage}: starts" for stage in RECIPES["nano"]]
    model = load(last / PRODUCT)
    assert model.config.vae.width == 26
    assert model.config.transformer.depth == 2
    made = provenance(last)
    assert [run.name for run in made][::6] == ["teacher", "restore-3"]
    assert {run.name for run in made} == set(RECIPES["nano"])
    assert packaged_recipe(made) is None  # one step each
    as_packaged = [
        dataclasses.replace(run, config=read_config(config_path(f"nano/{run.name}")))
        for run in made
    ]
    assert packaged_recipe(as_packaged) == "nano"
    assert packaged_recipe(as_packaged[1:]) is None
    said.clear()
    run_chain(chain(tmp_path), session=QUIET, said=said.append)
    assert said == [f"{stage}: finished before" for stage in RECIPES["nano"]]
    (last / PRODUCT).unlink()
    run_chain(chain(tmp_path), session=QUIET, said=said.append)
    assert said[-1] == "restore-3: goes on"
    with pytest.raises(CheckpointError, match="finished with another config"):
        run_chain(chain(tmp_path, "vae-decoder/optim.steps=2"), session=QUIET)


def test_a_teacher_of_the_users_takes_the_first_stages_place(
    tmp_path: Path, inputs: dict[str, Path]
) -> None:
    changes = [change for change in TINY if not change.startswith("teacher/")]
    given = {"teacher": inputs["teacher"]}
    jobs = Chain(recipe="nano", folder=tmp_path, changes=changes, inputs=given).jobs()
    assert "teacher" not in jobs
    assert jobs["restore-1"].inputs["teacher"] == inputs["teacher"]
    assert jobs["restore-1"].inputs["student"] == tmp_path / "prune" / PRODUCT


def test_any_stage_may_be_given(tmp_path: Path, inputs: dict[str, Path]) -> None:
    changes = [change for change in TINY if not change.startswith("prune/")]
    given = {"prune": inputs["student"]}
    jobs = Chain(recipe="nano", folder=tmp_path, changes=changes, inputs=given).jobs()
    assert "prune" not in jobs
    assert jobs["restore-1"].inputs["student"] == inputs["student"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"student": "here"}, "--input student: no stage of 'nano' with this config takes it"),
        ({"features": "here"}, "--input features: no stage of 'nano' with this config takes it"),
        ({"teacher": "nowhere"}, "--input teacher: expected a preset or a checkpoint, found"),
    ],
)
def test_a_recipes_inputs_are_all_known_and_there(
    tmp_path: Path, given: dict[str, str], message: str
) -> None:
    (tmp_path / "here").touch()
    paths = {role: tmp_path / name for role, name in given.items()}
    with pytest.raises(UnsupportedError, match=message):
        run_chain(Chain(recipe="nano", folder=tmp_path / "run", inputs=paths))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("role", ["student", "features"])
def test_a_stages_inputs_are_its_own(role: str, tmp_path: Path) -> None:
    job = Job(config=small_config(), folder=tmp_path / "run", inputs={role: tmp_path})
    with pytest.raises(UnsupportedError, match=f"'teacher' takes no input '{role}', only: none"):
        run_stage(job, session=QUIET)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("recipe", "changes", "message"),
    [
        ("nano", ["dream/optim.steps=1"], "unknown stage 'dream'|expected a key"),
        ("tinysr", [], "no stage 'teacher': give its checkpoint with --input teacher"),
        ("huge", [], "unknown recipe 'huge'"),
    ],
)
def test_a_recipe_that_can_not_run_is_refused_before_it_starts(
    tmp_path: Path, recipe: str, changes: list[str], message: str
) -> None:
    with pytest.raises(UnsupportedError, match=message):
        run_chain(Chain(recipe=recipe, folder=tmp_path / "run", changes=changes))
    assert not (tmp_path / "run").exists()


def test_an_input_may_be_a_preset(tmp_path: Path) -> None:
    config = small_config(stage="restore", options={"image": {"l2": 1.0}}, optim__steps=1)
    for folder in ("a", "b"):
        job = Job(config=config, folder=tmp_path / folder, inputs={"student": Path("tinysr-nano")})
        run_stage(job, session=QUIET)
    first, second = (json.loads((tmp_path / f / RECORD).read_text())["inputs"] for f in "ab")
    assert first == second
    assert len(first["student"]) == 64
    with pytest.raises(UnsupportedError, match="nothing was found at that path"):
        run_stage(dataclasses.replace(job, inputs={"student": Path("none.safetensors")}))
