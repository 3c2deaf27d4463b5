"""Measuring on photos, and writing weights with a card whose figures are the run's."""

import dataclasses
import importlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from tests.support.recipes import small_config
from tinysr.errors import CheckpointError, GateError, TinySRError
from tinysr.models import PRESETS, TinySR, load
from tinysr.training import (
    Release,
    RunConfig,
    StageRun,
    evaluate,
    initialise,
    mean_psnr,
    photo_pairs,
    run_stage,
    write_release,
)
from tinysr.training.data import PatchBatches
from tinysr.training.engine import CHECKPOINT, Raw, read_progress
from tinysr.training.evaluate import (
    PhotoPair,
    upscale_array,
    upscale_bicubic,
    with_adain,
    with_constant_prediction,
)
from tinysr.training.recipes import RECIPES
from tinysr.training.runner import PRODUCT

Cli = Callable[..., Result]


@pytest.fixture(scope="module")
def pairs() -> list[PhotoPair]:
    return [
        dataclasses.replace(pair, low=pair.low[:32, :32], high=pair.high[:128, :128])
        for pair in photo_pairs(["astronaut", "camera"])
    ]


NANO = {"width": 32, "depth": 6, "heads": 3, "pooled_size": 64, "separable_encoder": True}


@pytest.fixture
def config() -> RunConfig:
    return small_config(optim__steps=2, options__model=NANO)


@pytest.fixture
def few_photos(pairs: list[PhotoPair], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinysr.training.release.photo_pairs", lambda *_names: pairs)
    monkeypatch.setattr("tinysr.training.watch.photo_pairs", lambda: pairs)


def test_photos_are_degraded_from_fixed_seeds(pairs: list[PhotoPair]) -> None:
    assert [(p.photo, p.degradation) for p in pairs] == [
        (photo, kind) for photo in ("astronaut", "camera") for kind in ("light", "severe")
    ]
    again = photo_pairs(["astronaut"])[0]
    assert (again.low[:32, :32] == pairs[0].low).all()
    assert again.high.shape == (512, 512, 3)


def test_scores_tell_a_good_image_from_a_bad_one(pairs: list[PhotoPair]) -> None:
    good = evaluate(upscale_bicubic, pairs)
    bad = evaluate(lambda low: 1 - upscale_bicubic(low), pairs)
    assert all(g.psnr > b.psnr + 3 and g.ssim > b.ssim for g, b in zip(good, bad, strict=True))
    assert mean_psnr(upscale_bicubic, pairs) == pytest.approx(sum(s.psnr for s in good) / len(good))


def test_the_colour_match_removes_a_cast(pairs: list[PhotoPair]) -> None:
    tinted = lambda low: upscale_bicubic(low) * torch.tensor([1.0, 0.8, 0.9])[:, None, None]  # noqa: E731
    assert mean_psnr(with_adain(tinted), pairs) > mean_psnr(tinted, pairs) + 1


def test_a_release_loads_and_its_card_holds_the_runs_figures(
    config: RunConfig, few_photos: None, tmp_path: Path
) -> None:
    run_stage(StageRun(config=config, folder=tmp_path))
    weights, card = write_release(Release(run=tmp_path, preset="tinysr-nano"), tmp_path / "out")
    assert weights.stat().st_size < 10e6
    loaded, product = load(weights).state_dict(), load(tmp_path / PRODUCT).state_dict()
    for name, value in product.items():
        assert torch.allclose(loaded[name], value, rtol=1e-3, atol=1e-3), name
    text = card.read_text()
    assert "`teacher`, step 2 of 2 planned, seed 80" in text
    assert "Mean gain over bicubic" in text
    assert text.count("| astronaut |") == 4  # validation and held-out photos
    assert "Made by the runs below, with configs of their own." in text
    assert f"| {tmp_path.name} | 2 |" in text


def test_a_release_whose_conditions_are_no_constants_is_not_written(
    config: RunConfig, few_photos: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_stage(StageRun(config=config, folder=tmp_path))
    # The package's `bake` is the function of that name, which hides its module.
    monkeypatch.setattr(importlib.import_module("tinysr.export.bake"), "BAKE_TOLERANCE", 0.0)
    with pytest.raises(GateError, match="differs from the eager one"):
        write_release(Release(run=tmp_path, preset="tinysr-nano"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_model_that_is_no_preset_has_no_release(few_photos: None, tmp_path: Path) -> None:
    run_stage(StageRun(config=small_config(optim__steps=1), folder=tmp_path))
    with pytest.raises(CheckpointError, match="expected the layout of tinysr-nano, found"):
        write_release(Release(run=tmp_path, preset="tinysr-nano"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


SMALL = (
    *("--set", "optim.warmup=1", "--set", "data.image_side=64", "--set", "data.pool=2"),
    *("--set", "phases=[{patch = 32, batch = 2}]", "--device", "cpu"),
    *("--watch-every", 0),
)


@pytest.fixture
def cli(few_photos: None) -> Cli:
    import typer

    from tinysr.cli.train import train as command

    app = typer.Typer()
    app.command()(command)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_command_trains_stops_and_goes_on(cli: Cli, tmp_path: Path) -> None:
    shape = ("--set", "options.model.depth=3", "--set", "options.model.width=32")
    steps = ("--set", "optim.steps=2", "--set", "seed=3", *shape)
    result = cli("nano/teacher", *SMALL, *steps, "-o", tmp_path, "--keep-every", 1)
    assert result.exit_code == 0, result.output
    assert "Synthetic images alone" in result.output
    progress = read_progress(tmp_path / CHECKPOINT)
    assert (progress.step, progress.config.seed) == (2, 3)
    assert load(tmp_path / PRODUCT).config.transformer.depth == 3
    first = tmp_path / "step-00000001.safetensors"
    again = cli(
        "nano/teacher", *SMALL, *steps, "-o", tmp_path / "b", "--resume", "--checkpoint", first
    )
    assert again.exit_code == 0, again.output
    one, other = (load(folder / PRODUCT).state_dict() for folder in (tmp_path, tmp_path / "b"))
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("recipe", ["nano/teacher", "nano"])
def test_a_run_that_was_stopped_says_so_by_its_exit_code(
    recipe: str, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load_and_stop(self: PatchBatches, step: int, part: int = 0, parts: int = 1) -> Raw:
        os.kill(os.getpid(), signal.SIGTERM)
        return load_batch(self, step, part, parts)

    load_batch = PatchBatches.load
    monkeypatch.setattr(PatchBatches, "load", load_and_stop)
    result = cli(recipe, *SMALL, "--set", "optim.steps=9", "-o", tmp_path)
    assert result.exit_code == 128 + signal.SIGTERM, result.output
    assert "topped at step" in result.output


def refused(cli: Cli, run: Path, words: list[str], message: str) -> None:
    result = cli(*words, "-o", run)
    assert isinstance(result.exception, TinySRError)
    assert message in str(result.exception)
    assert not run.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["mega/teacher"], "unknown recipe 'mega': expected one of nano"),
        (["nano/dream"], "unknown stage of nano 'dream': expected one of"),
        (["nano/teacher", "--set", "optim.momentum=1"], "optim.momentum: Extra inputs"),
        (["nano/teacher", "--set", "options.width=1"], "width: Extra inputs"),
        (["nano/teacher", "--set", "optim.steps"], "expects table.key=value"),
        (["nano/teacher", "--set", "optim.steps=0"], "optim.steps: Input should be greater"),
        (["nano/teacher", "--set", "phases=[]"], "shares of all phases"),
        (["nano/teacher", "--set", "phases=[{patch = 40, batch = 1}]"], "divide by 16"),
        (["nano/teacher", "--set", "stage=dream"], "unknown stage 'dream'"),
        (["nano/teacher", "--config", "none.toml"], "none.toml: not a training config"),
        (["nano/teacher", "--input", "teacher"], "expects ROLE=PATH"),
        (["nano/teacher", "--data", "none"], "none: expected a folder of images"),
    ],
)
def test_what_can_not_be_trained_is_refused_in_one_line(
    cli: Cli, tmp_path: Path, words: list[str], message: str
) -> None:
    refused(cli, tmp_path / "run", words, message)


def test_a_recipe_ends_in_a_release(cli: Cli, tmp_path: Path) -> None:
    small = (*SMALL, "--set", "optim.warmup=0", "-o", tmp_path)
    result = cli("nano", *small, "--set", "optim.steps=1", "--set", "phases=[{patch=32, batch=1}]")
    assert result.exit_code == 0, result.output
    assert f"{RECIPES['nano'][-1]}: starts" in result.output
    released = tmp_path / "release" / "tinysr-nano-faithful.safetensors"
    assert load(released).config == PRESETS["tinysr-nano"]
    card = released.with_suffix(".md").read_text()
    made = [line.split(" | ")[0].strip("| ") for line in card.splitlines() if " | 1 | " in line]
    assert set(made) == set(RECIPES["nano"])
    again = cli("nano", "-o", tmp_path, "--release", tmp_path / "again")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "again" / "tinysr-nano-faithful.md").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nano", "--resume"], "name a stage, such as nano/teacher"),
        (["nano", "--config", "mine.toml"], "name a stage, such as nano/teacher"),
        (["nano", "--set", "dream/optim.steps=1"], "unknown stage 'dream'"),
        (["tinysr"], "give its checkpoint with --input teacher"),
    ],
)
def test_a_recipe_refuses_what_is_a_stages(
    cli: Cli, tmp_path: Path, words: list[str], message: str
) -> None:
    refused(cli, tmp_path / "run", words, message)


def test_a_constant_prediction_changes_nothing_where_it_was_constant(
    pairs: list[PhotoPair],
) -> None:
    model = initialise(TinySR(PRESETS["tinysr-nano"]), seed=80).requires_grad_(False)
    model.transformer.proj_out.weight.zero_()  # all that its first prediction has besides the bias
    whole, ablated = (
        upscale_array(f, pairs[0].low) for f in (model, with_constant_prediction(model))
    )
    assert abs(whole - ablated).max() < 1e-4


def test_a_card_names_whose_photos_a_run_learned_from(
    config: RunConfig, few_photos: None, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    side = config.data.image_side
    Image.new("RGB", (side, side), (90, 120, 30)).save(photos / "a.png")
    (photos / "CREDITS.md").write_text("# Photos\n\na.png: by Nobody, CC0\n", encoding="utf-8")
    run = tmp_path / "run"
    run_stage(StageRun(config=config, folder=run, data=photos))
    _, card = write_release(Release(run=run, preset="tinysr-nano", data=photos), tmp_path / "out")
    text = card.read_text(encoding="utf-8")
    assert text.startswith("# tinysr-nano\n")
    assert "## Photos\n\na.png: by Nobody, CC0\n" in text
    Image.new("RGB", (side, side)).save(photos / "b.png")
    with pytest.raises(CheckpointError, match="not the photos that this run learned from"):
        write_release(Release(run=run, preset="tinysr-nano", data=photos), tmp_path / "no")
    assert not (tmp_path / "no").exists()
