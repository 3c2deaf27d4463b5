"""Measuring on photos, and writing weights with a card whose figures are the run's."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner, Result

from tinysr.models import PRESETS, TinySR, load
from tinysr.training import (
    RECIPES,
    Phase,
    TrainConfig,
    evaluate,
    initialise,
    mean_psnr,
    photo_pairs,
    train,
    write_release,
)
from tinysr.training.checkpoint import CHECKPOINT, Progress, read_ema
from tinysr.training.evaluate import (
    Pair,
    bicubic,
    picture,
    upscaled,
    with_adain,
    with_constant_prediction,
)

Cli = Callable[..., Result]


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return [
        dataclasses.replace(pair, low=pair.low[:32, :32], high=pair.high[:128, :128])
        for pair in photo_pairs(["astronaut", "camera"])
    ]


@pytest.fixture
def config() -> TrainConfig:
    phases = (Phase(share=1, patch=32, batch=2),)
    return dataclasses.replace(RECIPES["nano"], steps=2, phases=phases, image_side=64, pool=2)


@pytest.fixture
def few_photos(pairs: list[Pair], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tinysr.training.release.photo_pairs", lambda: pairs)
    monkeypatch.setattr("tinysr.training.photo_pairs", lambda: pairs)


def test_photos_are_degraded_from_fixed_seeds(pairs: list[Pair]) -> None:
    assert [(p.photo, p.degradation) for p in pairs] == [
        (photo, kind) for photo in ("astronaut", "camera") for kind in ("light", "severe")
    ]
    again = photo_pairs(["astronaut"])[0]
    assert (again.low[:32, :32] == pairs[0].low).all()
    assert again.high.shape == (512, 512, 3)


def test_scores_tell_a_good_image_from_a_bad_one(pairs: list[Pair]) -> None:
    good = evaluate(bicubic, pairs)
    bad = evaluate(lambda low: 1 - bicubic(low), pairs)
    assert all(g.psnr > b.psnr + 3 and g.ssim > b.ssim for g, b in zip(good, bad, strict=True))
    assert mean_psnr(bicubic, pairs) == pytest.approx(sum(s.psnr for s in good) / len(good))


def test_the_colour_match_removes_a_cast(pairs: list[Pair]) -> None:
    tinted = lambda low: bicubic(low) * torch.tensor([1.0, 0.8, 0.9])[:, None, None]  # noqa: E731
    assert mean_psnr(with_adain(tinted), pairs) > mean_psnr(tinted, pairs) + 1


def test_a_release_loads_and_its_card_holds_the_runs_figures(
    config: TrainConfig, few_photos: None, tmp_path: Path
) -> None:
    model, progress = train(config, tmp_path)
    weights, card = write_release(tmp_path, tmp_path / "out")
    assert weights.stat().st_size < 10e6
    loaded = load(weights).state_dict()
    for name, value in model.state_dict().items():
        assert torch.allclose(loaded[name], value, atol=1e-3), name
    text = card.read_text()
    assert f"Steps: {progress.step} of {config.steps} planned, seed {config.seed}" in text
    assert "Mean gain over bicubic" in text
    assert text.count("| astronaut |") == 2


def test_a_picture_shows_four_images_side_by_side(pairs: list[Pair], tmp_path: Path) -> None:
    picture(bicubic, pairs[0], tmp_path / "look" / "astronaut.png")
    from PIL import Image

    with Image.open(tmp_path / "look" / "astronaut.png") as image:
        assert image.size == (4 * 128, 128)


@pytest.fixture
def cli(config: TrainConfig, few_photos: None, monkeypatch: pytest.MonkeyPatch) -> Cli:
    import typer

    from tinysr.cli.train import train as command

    monkeypatch.setitem(RECIPES, "nano", config)
    app = typer.Typer()
    app.command()(command)
    return lambda *arguments: CliRunner().invoke(app, [str(a) for a in arguments])


def test_the_command_trains_and_releases(cli: Cli, tmp_path: Path) -> None:
    result = cli("nano", "--steps", 1, "--seed", 3, "-o", tmp_path)
    assert result.exit_code == 0, result.output
    progress, _ = read_ema(tmp_path / CHECKPOINT)
    assert (progress.step, progress.config.seed) == (1, 3)
    assert (tmp_path / "tinysr-nano.safetensors").exists()
    again = cli("nano", "-o", tmp_path, "--release", tmp_path / "elsewhere")
    assert again.exit_code == 0, again.output
    assert (tmp_path / "elsewhere" / "tinysr-nano.md").exists()


def test_an_unknown_recipe_names_the_known_ones(cli: Cli) -> None:
    result = cli("mega")
    assert "unknown recipe 'mega': expected one of nano" in str(result.exception)


def test_a_card_tells_of_a_change_of_plan(config: TrainConfig, few_photos: None) -> None:
    from tinysr.training.card import model_card

    history = ({"step": 7.0, "loss": 0.1, "psnr": 20.0}, {"step": 7, "changed": {"steps": [8, 9]}})
    progress = Progress(config=config, step=9, seconds=120, history=history)
    score = evaluate(bicubic, photo_pairs(["camera"])[:1])
    text = model_card(
        progress, dict.fromkeys(("bicubic", "model", "model, v constant"), score), 9_000_000
    )
    assert "At step 7, on resuming, `steps` was changed from 8 to 9." in text
    assert "2 minutes" in text
    assert "| 7 | 0.1000 | 20.00 |" in text


def test_a_constant_prediction_changes_nothing_where_it_was_constant(pairs: list[Pair]) -> None:
    model = initialise(TinySR(PRESETS["tinysr-nano"]), seed=80).requires_grad_(False)
    model.transformer.proj_out.weight.zero_()  # all that its first prediction has besides the bias
    whole, ablated = (upscaled(f, pairs[0].low) for f in (model, with_constant_prediction(model)))
    assert abs(whole - ablated).max() < 1e-4


@pytest.fixture(scope="module")
def shipped() -> TinySR:
    return load("tinysr-nano")


def test_the_shipped_weights_beat_bicubic(shipped: TinySR, pairs: list[Pair]) -> None:
    assert mean_psnr(shipped, pairs) > mean_psnr(bicubic, pairs) + 0.2


@pytest.mark.parametrize("level", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_the_shipped_weights_give_greys_no_cast_and_no_grid(shipped: TinySR, level: float) -> None:
    image = shipped(torch.full((1, 3, 32, 32), level)).clamp(0, 1)[..., 16:-16, 16:-16]
    means = image.mean((2, 3))
    cast, grid = means.max() - means.min(), (image.amax((2, 3)) - image.amin((2, 3))).max()
    assert cast < 1 / 255
    assert grid < 2 / 255
    assert (image - level).abs().max() < 3 / 255
