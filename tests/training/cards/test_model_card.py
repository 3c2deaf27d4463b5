"""The model card: each line of it follows from the runs' records and the scores."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.recipes import small_config
from tinysr.training import config_path, read_config
from tinysr.training.cards import Origin, make_model_card
from tinysr.training.engine import RunProgress
from tinysr.training.evaluate import PhotoScore, evaluate, photo_pairs, upscale_bicubic
from tinysr.training.image_teachers import Taught
from tinysr.training.provenance import FinishedRun

CONFIG = small_config()


def test_a_card_tells_of_a_change_of_plan() -> None:
    history = (
        {"step": 7.0, "loss": 0.1, "psnr": 20.0},
        {"step": 7, "changed": {"optim.steps": [8, 9]}},
    )
    progress = RunProgress(config=CONFIG, step=9, seconds=120, history=history)
    score = evaluate(upscale_bicubic, photo_pairs(["camera"])[:1])
    scores = dict.fromkeys(("bicubic", "model", "model, v constant"), score)
    made = [FinishedRun(name="teacher", config=CONFIG, seconds=120, facts={"kept": [0, 3]})]
    origin = Origin(progress=progress, made=made)
    text = "\n".join(make_model_card("tinysr-nano", origin, scores, scores, size=9_000_000))
    assert "At step 7, on resuming, `optim.steps` was changed from 8 to 9." in text
    assert f"| teacher | {CONFIG.optim.steps} | 2 | layers 0, 3 stay |" in text
    assert "| 7 | 0.1000 | 20.00 |" in text


def card(
    origin: Origin, model: tuple[float, float | None], flat: tuple[float, float | None]
) -> str:
    """Return a card whose model has a PSNR and a distance in features; bicubic has 20 dB."""

    def scores(psnr: float, features: float | None) -> list[PhotoScore]:
        return [
            PhotoScore(photo="camera", degradation="light", psnr=psnr, ssim=0.5, features=features)
        ]

    bicubic = scores(20.0, None if model[1] is None else 3.3)
    rows = {"bicubic": bicubic, "model": scores(*model), "model, v constant": scores(*flat)}
    return "\n".join(make_model_card("tinysr-nano", origin, rows, rows, size=1))


@pytest.mark.parametrize(
    ("inputs", "words", "never"),
    [
        ({}, "no photo and no data set", True),
        ({"taught": "0" * 64}, "crops with an image teacher's enlargements", False),
        ({"data": "0" * 64}, "images of", False),
    ],
)
def test_a_card_says_what_images_a_run_learned_from(
    inputs: dict[str, str], words: str, never: bool
) -> None:
    origin = Origin(progress=RunProgress(config=CONFIG, inputs=inputs), made=())
    text = card(origin, (20.0, None), (20.0, None))
    assert words in text
    assert ("never saw a photo" in text) is never


def test_a_card_tells_of_crops_that_are_still_there() -> None:
    origin = {
        "config": {"data": {"photos": 0.7}},
        "teacher": {".param": "a" * 64, ".bin": "b" * 64},
        "data": "c" * 64,
    }
    crops = Taught(folder=Path("x"), origin=origin, shards=("1", "2"), crops=96, patch=160)
    progress = RunProgress(config=CONFIG, inputs={"taught": "0" * 64})
    text = card(Origin(progress=progress, made=(), crops=crops), (20.0, None), (20.0, None))
    assert "192 crops of 160², 70% from photos" in text
    assert f".bin {'b' * 64}" in text


def test_distances_in_features_are_told_where_they_were_measured() -> None:
    origin = Origin(progress=RunProgress(config=CONFIG), made=())
    without = card(origin, (20.5, None), (20.5, None))
    assert "*Features*" not in without
    assert "| camera | light | 20.00, 0.500 | 20.50, 0.500 | 20.50, 0.500 |" in without
    told = card(origin, (19.8, 2.8), (19.7, 3.0))
    assert "| camera | light | 20.00, 0.500, 3.300 | 19.80, 0.500, 2.800 |" in told
    assert "better on 0 of 1, -0.20 dB at worst" in told
    assert "+0.100 dB over a constant prediction (*v constant*), and +0.200 nearer" in told
    assert "the autoencoder does most of the work" not in told
    assert "the autoencoder does most of the work" in card(origin, (19.8, 2.8), (19.8, 2.9))


def test_a_part_of_a_recipe_is_told_with_what_it_began_from() -> None:
    made = FinishedRun(
        name="restore-4",
        config=read_config(config_path("nano/restore-4")),
        seconds=60,
        facts={},
        inputs={"student": "f" * 64, "data": "0" * 64},
    )
    origin = Origin(progress=RunProgress(config=made.config), made=(made,))
    text = card(origin, (20.0, None), (20.0, None))
    assert "Made by these stages of `tinysr train nano`, as they are packaged" in text
    assert f"student {'f' * 16}…." in text
