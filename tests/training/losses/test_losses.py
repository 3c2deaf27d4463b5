"""What stages minimise, against the definitions."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.support.feature_networks import VGG_WIDTHS, alexnet, vgg, weights
from tests.support.tiny_models import noise
from tinysr.errors import CheckpointError, UnsupportedError
from tinysr.training.losses import (
    PatchCritic,
    PerceptualName,
    critic_hinge,
    excess_error,
    fool,
    log_squared_error,
    make_perceptual,
    smooth_l1,
    squared_error,
)
from tinysr.training.losses.alternatives import haar
from tinysr.training.losses.features import FeatureDistance


def squeezenet() -> dict[str, Tensor]:
    shapes: dict[str, tuple[int, ...]] = {"features.0": (4, 3, 3, 3)}
    inputs = 4
    for index in (3, 4, 6, 7, 9, 10, 11, 12):
        shapes[f"features.{index}.squeeze"] = (2, inputs, 1, 1)
        shapes[f"features.{index}.expand1x1"] = (3, 2, 1, 1)
        shapes[f"features.{index}.expand3x3"] = (3, 2, 3, 3)
        inputs = 6
    return weights(shapes)


def reference(tensors: dict[str, Tensor], linear: dict[int, Tensor], a: Tensor, b: Tensor) -> float:
    """Return LPIPS over VGG16, written out."""
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    deviation = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    pair, total, tap = torch.cat([a, b]), 0.0, 0
    x = (pair - mean) / deviation
    for index in range(30):
        if index in VGG_WIDTHS:
            name = f"features.{index}"
            x = F.conv2d(x, tensors[f"{name}.weight"], tensors[f"{name}.bias"], padding=1)
        elif index in (4, 9, 16, 23):
            x = F.max_pool2d(x, 2)
        else:
            x = x.relu()
        if index in (3, 8, 15, 22, 29):
            unit = F.normalize(x, dim=1, eps=1e-10)
            apart = (unit[:1] - unit[1:]).square()[0]
            channel = linear.get(tap, torch.ones(len(apart)))
            total += float((apart * channel.reshape(-1, 1, 1)).sum(0).mean())
            tap += 1
    return total


@pytest.mark.parametrize("weighted", [False, True])
def test_lpips_is_its_definition(tmp_path: Path, weighted: bool) -> None:
    tensors = vgg()
    linear = {i: noise(w, seed=i) for i, w in enumerate((4, 6, 8, 8, 8))} if weighted else {}
    extra = {f"lin{i}.model.1.weight": v.reshape(1, -1, 1, 1) for i, v in linear.items()}
    save_file(tensors | extra, tmp_path / "vgg.safetensors")
    distance = FeatureDistance(tmp_path / "vgg.safetensors")
    a, b = noise(1, 3, 48, 48), noise(1, 3, 48, 48, seed=1)
    wanted = reference(tensors, linear, a, b)
    assert distance(a, b).item() == pytest.approx(wanted, rel=1e-4)
    assert distance(a, a).item() == 0
    assert distance.kind == ("LPIPS, VGG16" if weighted else "unweighted LPIPS, VGG16")


@pytest.mark.parametrize(
    ("make", "name"),
    [(alexnet, "AlexNet"), (squeezenet, "SqueezeNet 1.1")],
    ids=["alex", "squeeze"],
)
def test_other_networks_are_told_by_their_keys(
    tmp_path: Path, make: Callable[[], dict[str, Tensor]], name: str
) -> None:
    save_file(make(), tmp_path / "net.safetensors")
    distance = FeatureDistance(tmp_path / "net.safetensors")
    assert name in distance.kind
    a = noise(2, 3, 64, 64)
    near, far = distance(a, (a + 0.05).clamp(0, 1)), distance(a, noise(2, 3, 64, 64, seed=1))
    assert 0 < near < far


def test_lpips_leads_back_to_the_image_and_keeps_its_network(tmp_path: Path) -> None:
    save_file(vgg(), tmp_path / "vgg.safetensors")
    distance = FeatureDistance(tmp_path / "vgg.safetensors")
    image = noise(1, 3, 32, 32).requires_grad_(True)
    distance(image, noise(1, 3, 32, 32, seed=1)).backward()
    assert image.grad is not None
    assert image.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in distance.parameters())


def test_files_that_hold_no_known_network_are_refused(tmp_path: Path) -> None:
    short = {n: v for n, v in vgg().items() if "28" not in n}
    for name, tensors in (("short", short), ("other", {"w": noise(2)})):
        save_file(tensors, tmp_path / f"{name}.safetensors")
        with pytest.raises(CheckpointError, match="feature network in torchvision's layout"):
            FeatureDistance(tmp_path / f"{name}.safetensors")
    save_file(vgg() | {"lin0.weight": noise(1, 4, 1, 1)}, tmp_path / "one.safetensors")
    with pytest.raises(CheckpointError, match="expected LPIPS's 5 linear weights, found 1"):
        FeatureDistance(tmp_path / "one.safetensors")
    torch.save(vgg(), tmp_path / "vgg.pt")
    with pytest.raises(CheckpointError, match="pickles may hold code"):
        FeatureDistance(tmp_path / "vgg.pt")


def test_lpips_without_its_network_is_refused_and_names_the_stand_ins() -> None:
    with pytest.raises(UnsupportedError, match=r"features=FILE.*multi-scale-gradient, wavelet"):
        make_perceptual("lpips", None)


@pytest.mark.parametrize("name", ["multi-scale-gradient", "wavelet"])
def test_stand_ins_see_edges_and_no_offset(name: PerceptualName) -> None:
    loss = make_perceptual(name, None)
    image = noise(1, 3, 32, 32)
    assert loss(image + 0.1, image).item() == pytest.approx(0, abs=1e-6)
    blurred = F.avg_pool2d(F.pad(image, [1] * 4, mode="reflect"), 3, 1)
    assert loss(blurred, image) > 0.05
    assert "no LPIPS" in str(loss.kind)


def test_the_wavelet_keeps_the_energy() -> None:
    x = noise(1, 3, 16, 16)
    rest, details = haar(x)
    assert rest.shape == (1, 3, 8, 8)
    assert details.shape == (1, 9, 8, 8)
    energy = 4 * rest.square().sum() + details.square().sum()
    assert energy.item() == pytest.approx(x.square().sum().item(), rel=1e-5)


def test_smooth_l1_is_the_distance_where_it_is_large() -> None:
    a, b = torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.5)
    assert smooth_l1(a, b).item() == pytest.approx(0.5 - 0.001)
    step = b.clone()
    step[..., 2:] = 0
    # Of 3 differences along a row one is 0.5.
    assert smooth_l1(a, step, 3.0) - smooth_l1(a, step) == pytest.approx(3 * 0.499 / 3, rel=1e-5)
    assert squared_error(a, b).item() == pytest.approx(0.25)


def test_the_log_of_squares_is_mean_psnr() -> None:
    image, truth = noise(3, 3, 8, 8), noise(3, 3, 8, 8, seed=1)
    decibels = [-10 * torch.log10(F.mse_loss(a, b)) for a, b in zip(image, truth, strict=True)]
    found = -10 / math.log(10) * log_squared_error(image, truth)
    assert found.item() == pytest.approx(float(torch.stack(decibels).mean()), abs=1e-3)


def test_the_log_of_squares_ends_at_the_rounding_of_8_bits() -> None:
    image = noise(1, 3, 8, 8).requires_grad_()
    log_squared_error(image, image.detach().clone()).backward()
    assert image.grad is not None
    assert image.grad.abs().max() == 0


def test_what_is_worse_than_another_costs_its_decibels_and_what_is_better_is_free() -> None:
    truth, other = noise(2, 3, 8, 8), noise(2, 3, 8, 8, seed=1)
    worse = torch.cat([truth[:1] + 2 * (other - truth)[:1], truth[1:]])
    # Twice the distance is four times the square; the second image is the truth itself.
    assert excess_error(worse, other, truth).item() == pytest.approx(math.log(4) / 2, rel=1e-4)
    assert excess_error(truth, other, truth).item() == 0
    assert excess_error(other, other, truth).item() == 0


def test_the_gan_pulls_both_ways() -> None:
    critic = PatchCritic(8)
    real = noise(4, 3, 32, 32)
    fake = nn.Parameter(torch.full((4, 3, 32, 32), 0.5))
    optimizer = torch.optim.Adam(critic.parameters(), lr=5e-3)
    before = critic_hinge(critic, real, fake.detach()).item()
    for _ in range(40):
        optimizer.zero_grad()
        critic_hinge(critic, real, fake.detach()).backward()
        optimizer.step()
    after = critic_hinge(critic, real, fake.detach()).item()
    assert after < 0.7 * before
    judged = fool(critic(fake))
    judged.backward()
    with torch.no_grad():
        assert fake.grad is not None
        fake.sub_(2.0 * fake.grad / fake.grad.abs().max())
    assert fool(critic(fake)) < judged


def test_a_critic_is_its_seeds_and_judges_patches() -> None:
    torch.manual_seed(1)
    first = PatchCritic(8, seed=3)
    torch.manual_seed(2)
    second = PatchCritic(8, seed=3)
    image = noise(1, 3, 64, 48)
    assert torch.equal(first.eval()(image), second.eval()(image))
    assert first(image).shape == (1, 1, 8, 6)


def test_the_critics_weights_have_a_largest_singular_value_of_one() -> None:
    critic = PatchCritic(8)
    for layer in critic.layers:
        assert isinstance(layer, nn.Conv2d)
        norm = torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item()
        assert norm == pytest.approx(1, abs=0.1)
    image = noise(1, 3, 32, 32)
    assert torch.equal(critic(image), critic(image))  # a call leaves nothing behind
