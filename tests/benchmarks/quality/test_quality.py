"""LPIPS, DISTS and NIQE where their weights are given, and "not measured" where not."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tests.support.feature_networks import vgg
from tests.support.image_teachers import save_plain, small_teacher
from tests.support.tiny_models import TILE, noise, tiny_model
from tinysr.benchmarks.quality import Dists, Niqe, WeightedMetrics, measure
from tinysr.benchmarks.quality.__main__ import main
from tinysr.benchmarks.quality.niqe import _fit_asymmetric, natural_features
from tinysr.benchmarks.quality.speed import measure_speed
from tinysr.errors import CheckpointError, ImageError
from tinysr.training.evaluate import PhotoPair, photo_pairs, upscale_bicubic
from tinysr.training.synthetic import make_synthetic_image

CHANNELS = 3 + 4 + 6 + 8 + 8 + 8


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    shares = {"alpha": noise(1, CHANNELS, 1, 1), "beta": noise(1, CHANNELS, 1, 1, seed=1)}
    features = torch.cat([natural_features(picture(index, 384)) for index in range(8)])
    pristine = {"mean": features.mean(0).float(), "covariance": features.T.cov().float()}
    paths = {name: folder / f"{name}.safetensors" for name in ("lpips", "dists", "niqe")}
    save_file(vgg(), paths["lpips"])
    save_file(vgg() | shares, paths["dists"])
    save_file({n: v.contiguous() for n, v in pristine.items()}, paths["niqe"])
    return paths


def picture(index: int, side: int = 192) -> Tensor:
    image = make_synthetic_image(np.random.default_rng([5, index]), side)
    return torch.from_numpy(image).permute(2, 0, 1)


def test_dists_is_zero_for_equal_images_and_grows_with_blur(files: dict[str, Path]) -> None:
    dists, image = Dists(files["dists"]), picture(0)[None]
    assert dists(image, image).item() == pytest.approx(0, abs=1e-5)
    soft = F.avg_pool2d(image, 3, 1, 1)
    softer = F.avg_pool2d(soft, 5, 1, 2)
    assert 0 < dists(soft, image) < dists(softer, image) < 1


def test_dists_of_flat_images_is_that_of_their_means(files: dict[str, Path]) -> None:
    dists = Dists(files["dists"])
    assert len(dists._alphas) == len(dists._betas) == 6
    total = sum(float(part.sum()) for part in (*dists._alphas, *dists._betas))
    assert total == pytest.approx(1, abs=1e-5)
    a = torch.full((1, 3, 64, 64), 0.5)
    assert dists(a, a.clone()).item() == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("shape", [0.8, 1.0, 2.0])
def test_a_generalized_gaussian_gives_its_shape_back(shape: float) -> None:
    generator = np.random.default_rng(0)
    size = generator.gamma(1 / shape, 1, 400_000) ** (1 / shape)
    values = torch.from_numpy(size * generator.choice([-1, 1], size.shape))
    found, left, right = _fit_asymmetric(values)
    assert found == pytest.approx(shape, rel=0.03)
    assert left == pytest.approx(1, rel=0.03)  # the density is exp(-|x|^shape)
    assert right == pytest.approx(1, rel=0.03)


def test_an_asymmetric_one_has_two_scales() -> None:
    generator = np.random.default_rng(0)
    # Twice the scale is twice the mass: the density has no step at 0.
    scale = generator.choice([-1, 2, 2], 400_000)
    values = torch.from_numpy(np.abs(generator.normal(0, 1, 400_000)) * scale)
    shape, left, right = _fit_asymmetric(values)
    assert shape == pytest.approx(2, rel=0.05)
    assert right / left == pytest.approx(2, rel=0.02)
    assert left == pytest.approx(math.sqrt(2), rel=0.03)


def test_niqe_is_lower_for_what_is_like_the_pristine_images(files: dict[str, Path]) -> None:
    niqe, image = Niqe(files["niqe"]), picture(1)
    assert natural_features(image).shape == (4, 36)
    noisy = (image + 0.3 * (noise(3, 192, 192) - 0.5)).clamp(0, 1)
    assert niqe(image) < niqe(noisy)
    with pytest.raises(ImageError, match="two patches"):
        niqe(picture(1, 96))
    assert [Niqe.takes(picture(1, side)) for side in (96, 192)] == [False, True]


def test_photos_too_small_for_niqe_are_left_out_of_it(
    files: dict[str, Path], pairs: list[PhotoPair]
) -> None:
    metrics = WeightedMetrics.of(niqe=files["niqe"])
    small = [dataclasses.replace(p, low=p.low[:24, :24], high=p.high[:96, :96]) for p in pairs]
    assert measure(upscale_bicubic, small, metrics).niqe is None
    both = measure(upscale_bicubic, [*small, *pairs], metrics).niqe
    assert both == measure(upscale_bicubic, pairs, metrics).niqe


def test_weights_that_do_not_fit_are_refused(files: dict[str, Path]) -> None:
    with pytest.raises(CheckpointError, match="expected alpha and beta of 37 channels"):
        Dists(files["lpips"])
    with pytest.raises(CheckpointError, match="expected NIQE's mean"):
        Niqe(files["lpips"])


@pytest.fixture(scope="module")
def pairs() -> list[PhotoPair]:
    return photo_pairs(["camera"])[:1]


def test_what_has_no_weights_is_not_measured(
    files: dict[str, Path], pairs: list[PhotoPair]
) -> None:
    plain = measure(upscale_bicubic, pairs, WeightedMetrics())
    assert (plain.features, plain.lpips, plain.dists, plain.niqe) == (None,) * 4
    every = measure(upscale_bicubic, pairs, WeightedMetrics.of(**files))
    assert (every.psnr, every.ssim) == (plain.psnr, plain.ssim)
    assert all(value is not None and value > 0 for value in (every.lpips, every.dists, every.niqe))


def test_niqes_statistics_are_read_from_matlabs_file(
    tmp_path: Path, files: dict[str, Path]
) -> None:
    from scipy.io import savemat

    kept = load_file(files["niqe"])
    pristine = {"pop_mu": kept["mean"][None].numpy(), "pop_cov": kept["covariance"].numpy()}
    savemat(tmp_path / "niqe.mat", pristine)
    image = picture(1)
    assert Niqe(tmp_path / "niqe.mat")(image) == pytest.approx(Niqe(files["niqe"])(image))
    (tmp_path / "niqe.mat").write_bytes(b"no")
    with pytest.raises(CheckpointError, match="expected NIQE's pop_mu"):
        Niqe(tmp_path / "niqe.mat")


def test_speed_counts_products_and_takes_turns() -> None:
    peer = small_teacher()
    models: dict[str, nn.Module] = {"ours": tiny_model(), "peer": peer}
    speed = measure_speed(models, rounds=2, side=TILE)
    assert set(speed) == {"ours", "peer"}
    assert all(row.seconds > 0 and row.spread >= 0 for row in speed.values())
    macs = (
        sum(
            conv.weight.numel()
            * TILE**2
            * (16 if name in ("conv_up2", "conv_hr", "conv_last") else 1)
            for name, conv in peer.named_modules()
            if isinstance(conv, nn.Conv2d) and name != "conv_up1"
        )
        + 4 * TILE**2 * peer.conv_up1.weight.numel()
    )
    assert speed["peer"].giga_macs == pytest.approx(macs / 1e9)


def test_the_command_prints_and_writes_a_table(
    tmp_path: Path,
    pairs: list[PhotoPair],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = "tinysr.benchmarks.quality.__main__"
    part = [dataclasses.replace(p, low=p.low[:32, :32], high=p.high[:128, :128]) for p in pairs]
    monkeypatch.setattr(f"{command}.photo_pairs", lambda _names: part)
    monkeypatch.setattr(f"{command}._find_packaged", lambda _name: None)
    plain = ["tinysr-nano", "--rounds", "0", "--photos", "unwatched"]
    assert main([*plain, "--json", str(tmp_path / "q.json")]) == 0
    table = capsys.readouterr().out
    head = f"| {len(part)} images of held-out photos | PSNR, dB | SSIM |\n"
    assert head in table
    assert "features" not in table  # nothing measured them
    figures = json.loads((tmp_path / "q.json").read_text())["figures"]
    written = figures["photos"]["unwatched"]["methods"]
    assert written["tinysr-nano"]["psnr"] > written["bicubic"]["psnr"]
    assert list(written) == [
        "bicubic",
        "tinysr-nano",
        "tinysr-nano + adain",
        "tinysr-nano, v constant",
    ]
    peer = save_plain(small_teacher(), tmp_path / "peer.safetensors")
    assert main([*plain, "--peer", str(peer)]) == 0
    assert "| peer peer | " in capsys.readouterr().out
    assert main(["none"]) == 2
    assert "error:" in capsys.readouterr().err
