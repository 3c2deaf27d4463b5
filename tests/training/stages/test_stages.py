"""The stages: what each trains, what it hands on, and what it refuses."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.recipes import small_config
from tests.support.training import QUIET, SMALL_VAE
from tinysr.errors import UnsupportedError
from tinysr.models import TinySR, load
from tinysr.training import RunConfig
from tinysr.training.data import PatchBatches
from tinysr.training.engine import CHECKPOINT, Batch, SessionSettings, TrainingStage, train
from tinysr.training.stages import STAGES, Context, build
from tinysr.training.stages.joined import with_autoencoder

pytestmark = pytest.mark.usefixtures("one_core")
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


def stage_of(name: str, inputs: dict[str, Path], **changes: Any) -> tuple[RunConfig, TrainingStage]:
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
        loss.backward()
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


def test_what_is_worse_than_bicubic_costs_more(inputs: dict[str, Path], batch: Batch) -> None:
    options = {"image": {"l1": 1.0}, "harm": 0.5}
    context = Context(seed=80, device=torch.device("cpu"), inputs=inputs)
    stage = build(small_config(stage="restore", options=options), context)
    assert stage.loss(batch, 0)["harm"] > 0
    same = Batch(low=batch.low, high=stage.upscale(batch.low).detach())
    assert stage.loss(same, 0)["harm"] == 0


def test_the_critic_learns_and_is_saved(inputs: dict[str, Path], tmp_path: Path) -> None:
    config, stage = stage_of("restore images", inputs)
    assert stage.critic is not None
    before = {n: v.clone() for n, v in stage.critic.state_dict().items()}
    progress = train(
        stage,
        config,
        PatchBatches(config),
        tmp_path,
        session=SessionSettings(watch=lambda _: {"psnr": 0.0}),
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
        ("restore", {"latents": 1.0, "harm": 1.0}, "harm is held beside other losses"),
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
