"""Synthetic images, their degradation, and the batches made of both."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.support.recipes import small_config
from tinysr.training import Degradation, RunConfig, degrade, make_synthetic_image
from tinysr.training.data import PatchBatches, add_grain, darken
from tinysr.training.degradations.fixed import LIGHT, SEVERE
from tinysr.training.spectral import Array, Random, blur, field
from tinysr.training.textures import TEXTURES, Texture


def rng(*key: int) -> Random:
    return np.random.default_rng(key)


def images(count: int, side: int = 96) -> list[Array]:
    return [make_synthetic_image(rng(80, k), side) for k in range(count)]


def test_images_are_a_function_of_the_seed() -> None:
    first, again = (make_synthetic_image(rng(1), 96) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, make_synthetic_image(rng(2), 96))


def test_images_have_the_range_and_the_colours_of_photos() -> None:
    made = np.stack(images(24))
    assert made.dtype == np.float32
    assert made.min() >= 0
    assert made.max() <= 1
    assert 0.2 < made.mean() < 0.7
    saturation = made.max(-1) - made.min(-1)
    assert 0.02 < saturation.mean() < 0.25
    red, green = made[..., 0].ravel(), made[..., 1].ravel()
    assert np.corrcoef(red, green)[0, 1] > 0.8


def test_some_images_are_smooth_and_some_busy() -> None:
    steps = [np.abs(np.diff(image, axis=0)).mean() for image in images(24)]
    assert min(steps) < 0.01
    assert max(steps) > 0.04


@pytest.mark.parametrize("make", [make for make, _ in TEXTURES], ids=lambda make: make.__name__)
def test_textures_are_finite_and_centred(make: Texture) -> None:
    texture = make(rng(3), 96)
    assert texture.shape == (96, 96)
    assert np.isfinite(texture).all()
    assert abs(texture.mean()) < 0.3
    assert 0.5 < texture.std() < 1.5


def test_a_field_has_the_spectrum_asked_for() -> None:
    power = np.abs(np.fft.rfft2(field(rng(0), 256, alpha=1.5))) ** 2
    low, high = power[4, :5].mean(), power[64, :65].mean()
    # Amplitude f^-1.5 is power f^-3: 16 times the frequency, 4096 times less.
    assert 300 < low / high < 60000


def test_a_blur_keeps_the_mean_and_uniform_borders() -> None:
    image = np.full((32, 48, 3), 0.7, np.float32)
    assert np.allclose(blur(image, (3.0, 1.0), 0.5), 0.7, atol=1e-5)


@pytest.mark.parametrize("settings", [LIGHT, SEVERE], ids=["light", "severe"])
def test_a_degraded_image_is_a_quarter_and_on_the_8_bit_grid(settings: Degradation) -> None:
    low = degrade(images(1)[0], rng(5), settings)
    assert low.shape == (24, 24, 3)
    assert np.allclose(low * 255, np.round(low * 255), atol=1e-3)
    assert np.array_equal(low, degrade(images(1)[0], rng(5), settings))


def test_degradation_shifts_nothing() -> None:
    ramp = np.linspace(0, 1, 64, dtype=np.float32)
    image = np.broadcast_to(ramp[None, :, None], (64, 64, 3)).copy()
    wanted = image[::4, :].reshape(16, 16, 4, 3).mean(2)
    error = np.mean([degrade(image, rng(k), SEVERE) - wanted for k in range(40)], axis=0)
    # A shift by one pixel of the high resolution would be 1/64 everywhere.
    assert abs(error[2:-2, 2:-2].mean()) < 0.004


def test_severe_is_further_from_the_truth_than_light() -> None:
    def error(settings: Degradation) -> float:
        pairs = [
            (degrade(image, rng(k), settings), image.reshape(24, 4, 24, 4, 3).mean((1, 3)))
            for k, image in enumerate(images(8))
        ]
        return float(np.mean([np.abs(low - wanted) for low, wanted in pairs]))

    assert error(SEVERE) > 1.3 * error(LIGHT)


@pytest.fixture
def config() -> RunConfig:
    phases = [{"share": 0.5, "patch": 32, "batch": 4}, {"share": 0.5, "patch": 64, "batch": 2}]
    return small_config(phases=phases, optim__steps=8)


def test_a_batch_depends_on_its_step_alone(config: RunConfig) -> None:
    straight, jumped = PatchBatches(config), PatchBatches(config)
    for step in range(6):
        last = straight.finish(straight.load(step))
    again = jumped.finish(jumped.load(5))
    assert torch.equal(last.low, again.low)
    assert torch.equal(last.high, again.high)


def test_patches_grow_as_the_run_goes_on(config: RunConfig) -> None:
    batches = PatchBatches(config)
    assert batches.load(3).high.shape == (4, 3, 32, 32)
    assert batches.load(4).high.shape == (2, 3, 64, 64)
    assert batches.finish(batches.load(4)).low.shape == (2, 3, 16, 16)


def test_parts_make_up_the_whole_batch(config: RunConfig) -> None:
    def low(*part: int) -> torch.Tensor:
        batches = PatchBatches(config)
        return batches.finish(batches.load(0, *part)).low

    whole = low()
    for part in (0, 1):
        apart = (whole[part::2] - low(part, 2)).abs()
        # Canvases of another size round otherwise, which JPEG may turn into a level or two.
        assert apart.max() < 4 / 255
        assert (apart > 0).float().mean() < 0.01


def test_vivid_patches_have_stronger_colours() -> None:
    def saturation(vivid: float) -> float:
        batches = PatchBatches(small_config(data__vivid=vivid))
        high = torch.cat([batches.load(step).high for step in range(6)])
        return float((high.amax(1) - high.amin(1)).mean())

    assert saturation(1.0) > 1.5 * saturation(0.0)


def test_soft_patches_are_what_bicubic_nearly_restores() -> None:
    def restored(soft: float) -> float:
        batches = PatchBatches(small_config(data__soft=soft))
        high = torch.cat([batches.load(step).high for step in range(6)])
        low = F.interpolate(high, scale_factor=0.25, mode="bicubic", antialias=True)
        error = (F.interpolate(low, scale_factor=4.0, mode="bicubic") - high).square()
        return float(error.mean())

    assert restored(1.0) < 0.1 * restored(0.0)


def test_flat_patches_are_one_colour_and_most_of_them_dark() -> None:
    high = (
        PatchBatches(small_config(data__flat=1.0, phases=[{"patch": 16, "batch": 64}])).load(0).high
    )
    colours = high.float()[:, :, :1, :1]
    assert bool((high == colours).all())
    assert 0.55 < float((colours < 0.5).float().mean()) < 0.75


def test_faint_patches_have_less_contrast_and_the_same_colours() -> None:
    none, all_ = (
        PatchBatches(small_config(data__faint=share)).load(0).high for share in (1e-9, 1.0)
    )
    assert (
        all_.amax((1, 2, 3)) - all_.amin((1, 2, 3)) < none.amax((1, 2, 3)) - none.amin((1, 2, 3))
    ).all()
    assert (all_.mean((2, 3)) - none.mean((2, 3))).abs().max() < 0.01


def test_configs_without_soft_patches_see_the_images_they_always_saw() -> None:
    some, none = (PatchBatches(small_config(data__soft=soft)).load(0).high for soft in (1e-9, 0.0))
    assert some[0].shape == none[0].shape
    assert torch.equal(some[0], none[0])


def test_dark_and_grainy_images_are_what_their_names_say() -> None:
    image = np.full((64, 64, 3), 0.5, np.float32)
    assert all(0.02 < darken(image, rng(seed)).mean() < 0.26 for seed in range(20))
    for seed in range(20):
        grain = add_grain(image, rng(seed)) - image
        assert 0.2 < 255 * grain.std() < 3.2
        assert abs(255 * grain.mean()) < 0.5
