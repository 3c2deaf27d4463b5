"""The Upscaler equals MODEL.md's recipe, written down plainly in PyTorch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from tests.support.bundles import OVERLAP, TILE, TwinModel, edit_manifest, make_bundle
from tinysr.errors import BundleError, ImageError, UnsupportedError
from tinysr.runtime import Upscaler

Array = NDArray[Any]

SIZES = [
    (TILE, TILE),
    (20, 24),
    (24, 20),
    (31, 33),
    (33, 40),
    (64, 64),
    (37, 45),
    (90, 35),
    (1, 1),
    (1, 17),
    (100, 1),
    (3, 48),
    (7, 400),
]
"""Width and height: below, at and above a tile, multiples and not, strips."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "twin")


@pytest.fixture(scope="module")
def plain_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("bundle") / "plain", noise=0.0)


def photo(width: int, height: int) -> Array:
    """Return a smooth image with some noise, float32 [H, W, 3] in [0, 1]."""
    rng = np.random.default_rng(width * 1000 + height)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    waves = [0.5 + 0.3 * np.sin(x / 9 + c) * np.cos(y / 7 - c) for c in range(3)]
    noisy = np.stack(waves, axis=2) + rng.normal(0, 0.05, (height, width, 3))
    return noisy.clip(0, 1).astype(np.float32)


def resized(image: Tensor, width: int, height: int) -> Tensor:
    planes = [
        np.array(Image.fromarray(p).resize((width, height), Image.Resampling.BICUBIC))
        for p in image.numpy()
    ]
    return torch.from_numpy(np.stack(planes)).clamp(0, 1)


def reference(image: Array, color: str) -> Array:
    """Upscale [H, W, 3] by MODEL.md's inference recipe with the size rules of this runtime."""
    model = TwinModel()
    lr = torch.from_numpy(image).permute(2, 0, 1).contiguous()
    height, width = lr.shape[1:]
    short, long = min(height, width), max(height, width)
    if short < TILE and long / short <= 16:
        lr = resized(lr, *(max(TILE, math.floor(s * TILE / short + 0.5)) for s in (width, height)))
    rows, columns = (-(-max(side, TILE) // 4) * 4 for side in lr.shape[1:])
    padded = F.pad(lr[None], (0, columns - lr.shape[2], 0, rows - lr.shape[1]), mode="replicate")

    z = model.encode(padded)
    t = TILE // 2
    total, weights = torch.zeros_like(z), torch.zeros_like(z)
    axis = torch.arange(t, dtype=torch.float64)
    line = torch.exp(-((axis - (t - 1) / 2) ** 2) / t**2 / (2 * 0.01)) / math.sqrt(
        2 * math.pi * 0.01
    )
    weight = (line[:, None] * line[None, :]).float()
    for top in corners(z.shape[2], t):
        for left in corners(z.shape[3], t):
            area = (..., slice(top, top + t), slice(left, left + t))
            total[area] += model.predict(z[area]) * weight
            weights[area] += weight
    sr = model.decode(z - total / weights)[0, :, : 4 * lr.shape[1], : 4 * lr.shape[2]]

    if color == "adain":
        sr = adain(sr, lr)
    if color == "wavelet":
        enlarged = F.interpolate(lr[None], scale_factor=4, mode="bicubic", align_corners=False)
        sr = (split(sr[None])[0] + split(enlarged)[1])[0]
    if sr.shape[1:] != (4 * height, 4 * width):
        sr = resized(sr, 4 * width, 4 * height)
    return sr.clamp(0, 1).permute(1, 2, 0).numpy()


def corners(length: int, t: int) -> list[int]:
    found, position = [], 0
    while position + t < length:
        found.append(position)
        position += t - OVERLAP
    return [*found, length - t]


def adain(sr: Tensor, lr: Tensor) -> Tensor:
    def statistics(x: Tensor) -> tuple[Tensor, Tensor]:
        flat = x.flatten(1)
        return flat.mean(1)[:, None, None], (flat.var(1) + 1e-5).sqrt()[:, None, None]

    (sr_mean, sr_std), (lr_mean, lr_std) = statistics(sr), statistics(lr)
    return (sr - sr_mean) / sr_std * lr_std + lr_mean


def split(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return the high bands' sum and the low band of [1, 3, H, W]."""
    kernel = torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]) / 16
    kernel = kernel[None, None].repeat(3, 1, 1, 1)
    high = torch.zeros_like(image)
    for level in range(5):
        r = 2**level
        low = F.conv2d(F.pad(image, (r, r, r, r), mode="replicate"), kernel, groups=3, dilation=r)
        high += image - low
        image = low
    return high, image


@pytest.mark.parametrize("color", ["adain", "wavelet", "none"])
@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
def test_result_equals_the_recipe(bundle: Path, size: tuple[int, int], color: str) -> None:
    image = photo(*size)
    with Upscaler(bundle, color=color) as upscaler:
        found = upscaler.upscale(image)
    expected = reference(image, color)
    assert found.shape == expected.shape == (4 * size[1], 4 * size[0], 3)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 3, "N"])
def test_batches_of_tiles_do_not_change_the_result(tmp_path: Path, batch: int | str) -> None:
    image = photo(90, 70)
    with Upscaler(make_bundle(tmp_path / "b", batch=batch)) as upscaler:
        found = upscaler.upscale(image)
    np.testing.assert_allclose(found, reference(image, "adain"), atol=1e-5)


def test_eager_backend_gives_the_same(bundle: Path) -> None:
    image = photo(50, 41)
    with Upscaler(bundle, backend="eager", model=TwinModel()) as upscaler:
        assert "reference" in upscaler.choice.reason
        np.testing.assert_allclose(upscaler.upscale(image), reference(image, "adain"), atol=1e-5)


def test_tiles_leave_no_trace_where_the_model_looks_at_single_pixels(plain_bundle: Path) -> None:
    """Without noise the model only repeats pixels, so a blend of tiles has to do so as well."""
    image = photo(75, 61)
    with Upscaler(plain_bundle, color="none") as upscaler:
        found = upscaler.upscale(image)
    np.testing.assert_allclose(found, image.repeat(4, 0).repeat(4, 1), atol=1e-6)


@pytest.mark.parametrize("color", ["adain", "wavelet", "none"])
@pytest.mark.parametrize("size", [(32, 32), (70, 45), (1, 200), (5, 5)])
def test_uniform_images_stay_uniform_and_right(
    plain_bundle: Path, color: str, size: tuple[int, int]
) -> None:
    with Upscaler(plain_bundle, color=color) as upscaler:
        for value in (0, 1, 37, 128, 254, 255):
            found = upscaler.upscale(np.full((size[1], size[0], 3), value, np.uint8))
            assert (found == value).all()


def test_uint8_is_rounded_to_the_nearest(bundle: Path) -> None:
    image = (photo(40, 36) * 255).astype(np.uint8)
    with Upscaler(bundle) as upscaler:
        found = upscaler.upscale(image)
        exact = upscaler.upscale(image.astype(np.float32) / np.float32(255))
    assert found.dtype == np.uint8
    assert np.abs(found - exact * 255).max() <= 0.5 + 1e-3


def test_the_input_is_left_as_it_was(bundle: Path) -> None:
    image = photo(40, 36)
    before = image.copy()
    with Upscaler(bundle) as upscaler:
        upscaler.upscale(image)
        upscaler.upscale(image[:1, :1])
    np.testing.assert_array_equal(image, before)


def test_progress_counts_every_tile(bundle: Path) -> None:
    seen = []
    with Upscaler(bundle) as upscaler:
        upscaler.upscale(photo(64, 32), progress=lambda done, total: seen.append((done, total)))
    assert [total for _, total in seen] == [seen[-1][1]] * len(seen)
    assert seen[0] == (1, 5)
    assert seen[-1] == (5, 5)


def test_absurd_sizes_are_refused_with_the_option_that_allows_them(bundle: Path) -> None:
    with Upscaler(bundle, max_megapixels=0.1) as upscaler:
        upscaler.upscale(photo(64, 64))
        with pytest.raises(ImageError, match="--max-megapixels"):
            upscaler.upscale(photo(100, 100))
        with pytest.raises(ImageError, match="--max-megapixels"):
            upscaler.upscale(Image.new("L", (100, 100)))


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((8,), np.uint8),
        np.zeros((8, 8, 5), np.uint8),
        np.zeros((1, 8, 8, 3), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.int32),
        np.zeros((8, 8, 3), np.float16),
        np.full((8, 8, 3), 1.5, np.float32),
        np.full((8, 8), -0.1, np.float64),
        np.full((8, 8, 3), np.nan, np.float32),
    ],
    ids=["line", "five", "batch", "empty", "int32", "half", "over 1", "below 0", "nan"],
)
def test_arrays_that_are_no_image_are_refused(bundle: Path, array: Array) -> None:
    with Upscaler(bundle) as upscaler, pytest.raises(ImageError, match="expected"):
        upscaler.upscale(array)


WHITE = {"uint8": 255, "uint16": 65535, "float32": 1, "float64": 1}


@pytest.mark.parametrize("dtype", WHITE)
@pytest.mark.parametrize("channels", [(), (1,), (2,), (3,), (4,)], ids=str)
def test_arrays_of_every_kind_come_back_as_they_were(
    plain_bundle: Path, channels: tuple[int, ...], dtype: str
) -> None:
    """The plain bundle repeats pixels, so values can be followed through to the last digit."""
    rng = np.random.default_rng(5)
    image = (rng.random((40, 52, *channels)) * WHITE[dtype]).astype(dtype)
    with Upscaler(plain_bundle, color="none") as upscaler:
        found = upscaler.upscale(image)
    assert found.dtype == image.dtype
    expected = image.repeat(4, 0).repeat(4, 1)
    if channels in ((2,), (4,)):  # what is all but invisible has no colour left
        expected = np.where(expected[..., -1:] < WHITE[dtype] / 200, found, expected)
    tolerance = {"uint8": 0, "uint16": 1}.get(dtype, 2e-5)
    np.testing.assert_allclose(found, expected, atol=tolerance, rtol=0)


def test_a_constant_opacity_is_kept_and_costs_nothing(bundle: Path) -> None:
    color = (photo(40, 36) * 255).astype(np.uint8)
    image = np.dstack([color, np.full((36, 40), 77, np.uint8)])
    steps: list[int] = []
    with Upscaler(bundle) as upscaler:
        found = upscaler.upscale(image, lambda _, total: steps.append(total))
        plain: list[int] = []
        expected = upscaler.upscale(color, lambda _, total: plain.append(total))
    np.testing.assert_array_equal(found[..., :3], expected)
    assert (found[..., 3] == 77).all()
    assert steps == plain


def disc(side: int) -> tuple[Array, Array]:
    """Return a red disc on nothing, where "nothing" is stored as green, and radii in the result."""
    y, x = np.mgrid[:side, :side]
    radius = np.hypot(x - (side - 1) / 2, y - (side - 1) / 2)
    inside = radius < side / 3
    image = np.where(inside[..., None], [200, 20, 20, 255], [0, 255, 0, 0]).astype(np.uint8)
    return image, (radius / side).repeat(4, 0).repeat(4, 1)


def test_what_is_invisible_leaves_no_fringe(plain_bundle: Path) -> None:
    image, _ = disc(40)
    with Upscaler(plain_bundle, scale=3) as upscaler:  # resampled: edges have every opacity
        found = upscaler.upscale(image).astype(int)
    seen = found[..., 3] > 8
    assert (found[..., 3][seen] < 255).any()
    assert np.abs(found[..., :3][seen] - [200, 20, 20]).max() <= 24
    assert np.abs(found[..., :3][found[..., 3] > 128] - [200, 20, 20]).max() <= 2


def test_what_is_opaque_stays_opaque_however_the_network_wavers(bundle: Path) -> None:
    image, radius = disc(64)
    with Upscaler(bundle) as upscaler:
        opacity = upscaler.upscale(image)[..., 3]
    assert (opacity[radius < 1 / 3 - 0.04] == 255).all()
    assert (opacity[radius > 1 / 3 + 0.04] == 0).all()


def test_grey_equals_the_mean_of_the_same_image_in_rgb(bundle: Path) -> None:
    grey = photo(50, 41)[..., :1]
    with Upscaler(bundle, color="none") as upscaler:
        found = upscaler.upscale(grey)
        rgb = upscaler.upscale(grey.repeat(3, axis=2))
    inside = (rgb > 0).all(axis=2) & (rgb < 1).all(axis=2)  # nothing was clipped
    np.testing.assert_allclose(found[inside, 0], rgb.mean(axis=2)[inside], atol=1e-6)


@pytest.mark.parametrize("scale", [1, 2, 3, 3.7, 4, 6])
@pytest.mark.parametrize("size", [(64, 48), (33, 57), (9, 5), (1, 1)])
def test_other_scales_are_the_result_resampled(
    bundle: Path, size: tuple[int, int], scale: float
) -> None:
    image = photo(*size) * np.float32(0.4) + np.float32(0.3)  # so that nothing is clipped
    with Upscaler(bundle, scale=scale) as upscaler:
        found = upscaler.upscale(image)
        assert upscaler.output_size(*size) == (found.shape[1], found.shape[0])
    width, height = (max(1, math.floor(side * scale + 0.5)) for side in size)
    assert found.shape == (height, width, 3)
    if min(size) >= TILE and scale != 4:
        with Upscaler(bundle) as upscaler:
            four = torch.from_numpy(upscaler.upscale(image)).permute(2, 0, 1).contiguous()
        expected = resized(four, width, height).permute(1, 2, 0).numpy()
        np.testing.assert_allclose(found, expected, atol=2e-6)


@pytest.mark.parametrize("scale", [0, -1, 0.01, 17, math.nan, math.inf])
def test_absurd_scales_are_refused(bundle: Path, scale: float) -> None:
    with pytest.raises(UnsupportedError, match=r"expected a number from 0\.1 to 16"):
        Upscaler(bundle, scale=scale)


def test_a_result_gives_its_pixels_once(bundle: Path) -> None:
    with Upscaler(bundle) as upscaler:
        result = upscaler.infer(photo(32, 32))
    assert result.pixels().shape == (128, 128, 3)  # the graphs are no longer needed
    with pytest.raises(UnsupportedError, match="once"):
        result.pixels()


def test_results_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    broken = make_bundle(tmp_path / "b", noise=float("inf"))
    with Upscaler(broken) as upscaler, pytest.raises(BundleError, match="NaN"):
        upscaler.upscale(photo(32, 32))


def test_a_closed_upscaler_says_so(bundle: Path) -> None:
    upscaler = Upscaler(bundle)
    upscaler.close()
    upscaler.close()
    with pytest.raises(UnsupportedError, match="closed"):
        upscaler.upscale(photo(32, 32))


def test_unknown_colour_fix_is_refused(bundle: Path) -> None:
    with pytest.raises(UnsupportedError, match="adain, none, wavelet"):
        Upscaler(bundle, color="sepia")


@pytest.mark.parametrize(
    "change", [{"tile": 34}, {"overlap": 3}, {"overlap": 16}, {"tile": 64}], ids=str
)
def test_a_manifest_that_contradicts_itself_is_refused(
    tmp_path: Path, change: dict[str, int]
) -> None:
    folder = make_bundle(tmp_path / "b")
    edit_manifest(folder, lambda data: data.update(change))
    with pytest.raises(BundleError, match="expected a tile"):
        Upscaler(folder)


@pytest.mark.parametrize("color", ["adain", "wavelet", "none"])
def test_large_images_are_coded_in_windows_with_the_same_result(bundle: Path, color: str) -> None:
    image = photo(150, 90)
    seen: list[tuple[int, int]] = []
    with Upscaler(bundle, color=color, window=40) as upscaler:
        found = upscaler.upscale(image, lambda done, total: seen.append((done, total)))
    np.testing.assert_allclose(found, reference(image, color), atol=1e-5)
    assert [done for done, _ in seen][-1] == seen[0][1]
    assert sum(1 for _ in seen) > 24


def test_large_results_of_8_bits_wait_in_16_bits(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = (photo(150, 90) * 255).astype(np.uint8)
    with Upscaler(bundle, window=40) as upscaler:
        exact = upscaler.upscale(image).astype(int)
        monkeypatch.setattr("tinysr.runtime.footprint._LARGE", 0)
        found = upscaler.upscale(image).astype(int)
    assert np.abs(found - exact).max() <= 1
    assert (found != exact).mean() < 0.01


@pytest.mark.parametrize("window", [-2, 0, 33])
def test_windows_that_give_nothing_are_refused(bundle: Path, window: int) -> None:
    with pytest.raises(UnsupportedError, match="expected an even number of pixels over 0"):
        Upscaler(bundle, window=window)
