"""Real-ESRGAN's degradation, part by part against its definitions."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from tinysr.errors import UnsupportedError
from tinysr.training.degradations import (
    DEGRADATIONS,
    DegradationSettings,
    degrade_batch,
    find_settings,
)
from tinysr.training.degradations import kernels as k
from tinysr.training.degradations.jpeg import compress_jpeg
from tinysr.training.degradations.noise import add_noise, photon_levels
from tinysr.training.degradations.plan import ItemPlan, RoundPlan, draw_plan
from tinysr.training.degradations.resize import MODES, ResizeMode, blur, mirror, resize
from tinysr.training.synthetic import make_synthetic_image


def line() -> Tensor:
    return torch.arange(k.KERNEL_SIDE, dtype=torch.float64) - k.KERNEL_SIDE // 2


def covariance(kernel: Tensor) -> Tensor:
    """Return the second moments ``[2, 2]`` of a kernel, rows first."""
    kernel, at = kernel.double(), line()
    yy = (kernel.sum(1) * at**2).sum()
    xx = (kernel.sum(0) * at**2).sum()
    xy = torch.einsum("yx,y,x->", kernel, at, at)
    return torch.stack([torch.stack([yy, xy]), torch.stack([xy, xx])])


KERNELS = {
    "gaussian": k.gaussian(21, (1.5, 1.5)),
    "aniso": k.gaussian(21, (2.0, 1.0), 0.5),
    "generalized": k.generalized(15, (1.5, 1.5), 0.0, 0.7),
    "plateau": k.plateau(13, (2.0, 1.0), 1.0, 1.5),
    "sinc": k.sinc(21, 1.5),
    "identity": k.identity(),
}


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS.keys())
def test_a_kernel_sums_to_one_and_is_centred(kernel: Tensor) -> None:
    assert kernel.shape == (21, 21)
    assert kernel.sum().item() == pytest.approx(1, abs=1e-5)
    assert torch.allclose(kernel, kernel.flip(0, 1), atol=1e-7)


def test_a_gaussian_has_the_moments_asked_for() -> None:
    round_, turned = covariance(KERNELS["gaussian"]), covariance(KERNELS["aniso"])
    assert torch.allclose(round_, torch.eye(2).double() * 1.5**2, atol=1e-3)
    lengths, axes = torch.linalg.eigh(turned)
    assert lengths.sqrt().tolist() == pytest.approx([1.0, 2.0], abs=2e-3)
    y, x = axes[:, 1].tolist()
    assert math.atan2(y, x) % math.pi == pytest.approx(0.5, abs=1e-3)


def test_generalized_gaussians_are_gaussians_at_one_and_flat_above_it() -> None:
    sigma = (2.0, 2.0)
    assert torch.allclose(k.generalized(21, sigma, 0, 1.0), k.gaussian(21, sigma), atol=1e-6)
    box = k.generalized(21, sigma, 0, 4.0)
    assert box[10, 11] / box[10, 10] > 0.99
    peaked = k.generalized(21, sigma, 0, 0.5)
    assert (
        peaked[10, 11] / peaked[10, 10]
        < k.gaussian(21, sigma)[10, 11] / k.gaussian(21, sigma)[10, 10]
    )


def test_a_plateau_halves_at_its_deviation() -> None:
    kernel = k.plateau(21, (3.0, 3.0), 0, 2.0)
    assert kernel[10, 13] / kernel[10, 10] == pytest.approx(0.5, abs=1e-5)


def test_a_sinc_passes_below_its_cutoff_and_stops_above_it() -> None:
    cutoff = math.pi / 2
    response = torch.fft.fft2(F.pad(k.sinc(21, cutoff), (0, 107, 0, 107))).abs()
    passed, stopped = int(64 * 0.25), int(64 * 0.75)  # of 64 bins up to π
    assert response[0, passed] == pytest.approx(1, abs=0.1)
    assert response[0, stopped] < 0.1
    assert k.sinc(21, cutoff).min() < -0.001  # it rings


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("antialias", [False, True])
def test_a_resize_of_one_item_is_pytorchs(mode: ResizeMode, antialias: bool) -> None:
    image = torch.rand(1, 3, 20, 28, generator=torch.Generator().manual_seed(0))
    mine = resize(image, [(20, 28)], [(13, 35)], [mode], antialias=antialias)
    options = {} if mode == "area" else {"antialias": antialias}
    assert torch.allclose(
        mine, F.interpolate(image, size=(13, 35), mode=mode, **options), atol=1e-5
    )


def test_items_of_a_canvas_are_mirrored_about_their_own_borders() -> None:
    canvas = torch.arange(6.0).expand(2, 1, 6, 6).clone()
    found = mirror(canvas, [(6, 6), (4, 3)])
    assert torch.equal(found[0], canvas[0])
    assert found[1, 0, 0].tolist() == [0, 1, 2, 1, 0, 1]
    wide = mirror(canvas, [(6, 6), (6, 6)], 2)
    assert wide[0, 0, 0].tolist() == [2, 1, 0, 1, 2, 3, 4, 5, 4, 3]


def test_a_blur_is_a_convolution_with_mirrored_borders() -> None:
    image = torch.rand(1, 3, 30, 24, generator=torch.Generator().manual_seed(0))
    kernel = KERNELS["aniso"]
    padded = F.pad(image, [10] * 4, mode="reflect")
    wanted = F.conv2d(padded, kernel.expand(3, 1, 21, 21), groups=3)
    assert torch.allclose(blur(image, kernel[None], [(30, 24)]), wanted, atol=1e-5)
    canvas = F.pad(image, [0, 7, 0, 3])  # nothing of the canvas's rest comes in
    found = blur(canvas, kernel[None], [(30, 24)])[..., :30, :24]
    assert torch.allclose(found, wanted, atol=1e-5)


def plan(**changes: object) -> RoundPlan:
    values = {
        "kernel": k.identity(),
        "scale": 1.0,
        "mode": "area",
        "gaussian": 0.0,
        "poisson": 0.0,
        "grey": False,
        "quality": 0.0,
    }
    return RoundPlan(**(values | changes))  # type: ignore[arg-type]


def noise(of: RoundPlan, image: Tensor) -> Tensor:
    size = (image.shape[2], image.shape[3])
    generator = torch.Generator().manual_seed(1)
    return add_noise(image, [size], [of], [generator]) - image


def test_gaussian_noise_has_the_deviation_asked_for() -> None:
    grey = torch.full((1, 3, 200, 200), 0.5)
    found = noise(plan(gaussian=0.03), grey)
    assert found.std().item() == pytest.approx(0.03, rel=0.02)
    assert abs(found.mean().item()) < 5e-4
    channels = torch.corrcoef(found[0].flatten(1))
    assert channels[0, 1].abs() < 0.02


def test_grey_noise_is_the_same_in_all_channels() -> None:
    found = noise(plan(gaussian=0.03, grey=True), torch.full((1, 3, 32, 32), 0.5))
    assert torch.allclose(found[:, 0], found[:, 2], atol=1e-7)


@pytest.mark.parametrize("grey", [False, True])
def test_poisson_noise_grows_with_the_root_of_the_brightness(grey: bool) -> None:
    image = torch.empty(1, 3, 100, 256)
    image[:] = torch.linspace(0, 1, 256).mul(255).round().div(255)
    assert photon_levels(image) == 256
    found = noise(plan(poisson=1.0, grey=grey), image)
    for column in (40, 100, 160):
        deviation = found[..., column - 8 : column + 8].std().item()
        assert deviation == pytest.approx(math.sqrt(column / 255 / 256), rel=0.06)


def test_photons_are_counted_by_the_levels_in_use_rounded_up() -> None:
    assert photon_levels(torch.tensor([0.0, 0.1, 0.2])) == 4
    assert photon_levels(torch.tensor([0.5])) == 1


def photo(index: int, side: int = 96) -> Tensor:
    image = make_synthetic_image(np.random.default_rng([80, index]), side)
    return torch.from_numpy(image).permute(2, 0, 1)


@pytest.mark.parametrize("quality", [30, 60, 90])
@pytest.mark.parametrize(("grey", "agreement"), [(True, 10), (False, 3)], ids=["grey", "colour"])
def test_jpeg_is_that_of_a_real_encoder(quality: int, grey: bool, agreement: float) -> None:
    image = photo(1)
    if grey:
        image = image.mean(0, keepdim=True).expand(3, -1, -1)
    mine = compress_jpeg(image[None], [(96, 96)], torch.tensor([float(quality)]))[0]
    pixels = (image.permute(1, 2, 0) * 255).round().byte().numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    theirs = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 255
    apart, lost = (mine - theirs).square().mean(), (theirs - image).square().mean()
    # In dB: decoders smooth the halved chroma, which Real-ESRGAN's training did not.
    assert 10 * torch.log10(lost / apart) > agreement


def test_jpeg_leaves_items_without_a_quality_alone() -> None:
    images = torch.stack([photo(1), photo(2)])
    found = compress_jpeg(images, [(96, 96)] * 2, torch.tensor([0.0, 50.0]))
    assert torch.equal(found[0], images[0])
    assert not torch.equal(found[1], images[1])


def keys(*items: int) -> Tensor:
    return torch.tensor([[80, item] for item in items])


@pytest.mark.parametrize("settings", DEGRADATIONS.values(), ids=DEGRADATIONS.keys())
def test_a_degraded_batch_is_a_quarter_and_on_the_8_bit_grid(settings: DegradationSettings) -> None:
    images = torch.stack([photo(index) for index in range(6)])
    low = degrade_batch(images, keys(*range(6)), settings)
    assert low.shape == (6, 3, 24, 24)
    assert torch.allclose(low * 255, (low * 255).round(), atol=1e-3)
    assert torch.equal(low, degrade_batch(images, keys(*range(6)), settings))
    assert not torch.equal(low, degrade_batch(images, keys(*range(1, 7)), settings))


@pytest.mark.parametrize("settings", DEGRADATIONS.values(), ids=DEGRADATIONS.keys())
def test_an_item_does_not_depend_on_its_batch(settings: DegradationSettings) -> None:
    images = torch.stack([photo(index) for index in range(8)])
    batch = degrade_batch(images, keys(*range(8)), settings)
    alone = torch.cat([degrade_batch(images[i : i + 1], keys(i), settings) for i in range(8)])
    apart = (batch - alone).abs()
    # Sums in another order round otherwise, which JPEG may turn into a few levels.
    assert (apart > 1.5 / 255).float().mean() < 0.01
    assert apart.mean() < 1e-4


@pytest.mark.parametrize("settings", DEGRADATIONS.values(), ids=DEGRADATIONS.keys())
def test_degradation_shifts_nothing(settings: DegradationSettings) -> None:
    ramp = torch.linspace(0.2, 0.8, 64).expand(1, 3, 64, 64)
    wanted = F.avg_pool2d(ramp, 4)
    images = ramp.expand(60, -1, -1, -1)
    low = degrade_batch(images, keys(*range(60)), settings)
    # A shift by one pixel of the high resolution would be 0.01 everywhere.
    assert (low - wanted)[..., 3:-3, 3:-3].mean().abs() < 0.003


def test_the_published_degradation_is_the_stronger_one() -> None:
    images = torch.stack([photo(index) for index in range(12)])
    wanted = F.avg_pool2d(images, 4)

    def error(name: str) -> float:
        low = degrade_batch(images, keys(*range(12)), find_settings(name))
        return float((low - wanted).abs().mean())

    assert error("real-esrgan") > 1.5 * error("mild")


def plans(name: str, count: int = 1500) -> list[ItemPlan]:
    return [draw_plan(DEGRADATIONS[name], np.random.default_rng([1, i])) for i in range(count)]


def share(flags: list[bool]) -> float:
    return sum(flags) / len(flags)


def test_plans_are_drawn_with_the_published_shares() -> None:
    drawn = plans("real-esrgan")
    first, second = ([plan.rounds[i] for plan in drawn] for i in (0, 1))
    assert share([step.scale > 1 for step in first]) == pytest.approx(0.2, abs=0.04)
    assert share([step.scale < 1 for step in first]) == pytest.approx(0.7, abs=0.04)
    assert share([step.gaussian > 0 for step in first]) == pytest.approx(0.5, abs=0.04)
    assert share([step.grey for step in first]) == pytest.approx(0.4, abs=0.04)
    assert share([bool(torch.equal(s.kernel, k.identity())) for s in second]) == pytest.approx(
        0.2, abs=0.03
    )
    assert share([plan.jpeg_first for plan in drawn]) == pytest.approx(0.5, abs=0.04)
    sharp = [bool(torch.equal(plan.last_kernel, k.identity())) for plan in drawn]
    assert share(sharp) == pytest.approx(0.2, abs=0.04)
    assert all(30 <= step.quality <= 95 and 0.15 <= step.scale <= 1.5 for step in first)


def test_a_share_of_mild_images_has_one_gentle_round() -> None:
    alone = [plan.rounds[0].quality == 0 and plan.rounds[0].scale == 1.0 for plan in plans("mild")]
    # The others keep their size in 3 of 10 rounds, of which 2 in 10 are not compressed.
    assert share(alone) == pytest.approx(0.4 + 0.6 * 0.3 * 0.2, abs=0.04)


def test_an_unknown_degradation_names_the_known_ones() -> None:
    with pytest.raises(UnsupportedError, match="unknown degradation 'rain': expected one of mild"):
        find_settings("rain")
