"""Metrics and gates: the numbers that a verdict stands on."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import skimage.metrics
from numpy.typing import NDArray

from tinysr.errors import UnsupportedError
from tinysr.metrics import Metrics, cosine, measure
from tinysr.parity.gates import DEPARTURE, GATES_DB, departure, gate_db

Image = NDArray[np.float32]


@pytest.fixture
def pair(request: pytest.FixtureRequest) -> tuple[Image, Image]:
    rng = np.random.default_rng(list(request.node.name.encode()))
    image = rng.random((3, 24, 20), np.float32)
    return image, image + rng.normal(0, 0.01, image.shape).astype(np.float32)


def test_psnr_and_ssim_are_those_of_scikit_image(pair: tuple[Image, Image]) -> None:
    expected, found = pair
    metrics = measure(found, expected, images=True)
    assert metrics.psnr_db == pytest.approx(
        skimage.metrics.peak_signal_noise_ratio(
            expected.astype(np.float64), found.astype(np.float64), data_range=1
        )
    )
    assert metrics.ssim == pytest.approx(
        skimage.metrics.structural_similarity(
            found.astype(np.float64), expected.astype(np.float64), data_range=1, channel_axis=0
        )
    )


def test_errors_and_cosine_are_those_of_numpy(pair: tuple[Image, Image]) -> None:
    expected, found = pair
    metrics = measure(found, expected)
    error = np.abs(found.astype(np.float64) - expected)
    assert metrics.max_abs == pytest.approx(error.max())
    assert metrics.mean_abs == pytest.approx(error.mean())
    a, b = found.ravel().astype(np.float64), expected.ravel().astype(np.float64)
    assert metrics.cosine == pytest.approx(a @ b / math.sqrt((a @ a) * (b @ b)))
    assert metrics.ssim is None


def test_latents_are_measured_relative_to_their_own_range(pair: tuple[Image, Image]) -> None:
    expected, found = pair
    once, scaled = measure(found, expected), measure(found * 50, expected * 50)
    assert scaled.peak == pytest.approx(50 * once.peak)
    assert scaled.psnr_db == pytest.approx(once.psnr_db, abs=1e-3)


def test_equal_bits_have_no_psnr_and_pass_every_gate(pair: tuple[Image, Image]) -> None:
    metrics = measure(pair[0], pair[0].copy(), images=True)
    assert metrics.identical
    assert metrics.psnr_db is None
    assert all(metrics.passes(gate) for gate in GATES_DB.values())
    written = json.loads(metrics.model_dump_json())
    assert written["psnr_db"] is None
    assert Metrics.model_validate(written) == metrics


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_value_that_is_not_finite_fails_whatever_the_rest(
    pair: tuple[Image, Image], value: float
) -> None:
    found = pair[0].copy()
    found[1, 2, 3] = value
    metrics = measure(found, pair[0], images=True)
    assert not metrics.finite
    assert not metrics.passes(-math.inf)
    assert metrics.rank == -math.inf
    assert "NaN" not in metrics.model_dump_json()


def test_a_gate_is_passed_at_its_very_number() -> None:
    metrics = Metrics(finite=True, identical=False, peak=1, psnr_db=50.0)
    assert metrics.passes(50.0)
    assert not metrics.passes(50.000001)


def test_a_reference_that_is_not_finite_is_refused() -> None:
    good = np.zeros((3, 8, 8), np.float32)
    with pytest.raises(UnsupportedError, match="eager reference is not finite"):
        measure(good, good + np.float32(np.nan))


def test_another_shape_is_refused_and_not_broadcast() -> None:
    with pytest.raises(UnsupportedError, match=r"\[3, 8, 8\], found \[1, 8, 8\]"):
        measure(np.zeros((1, 8, 8), np.float32), np.zeros((3, 8, 8), np.float32))


def test_black_against_black_and_against_grey() -> None:
    black, grey = np.zeros((3, 8, 8)), np.full((3, 8, 8), 0.5)
    assert cosine(black, black) == 1
    assert cosine(grey, black) == 0
    assert measure(grey, black, images=True).psnr_db == pytest.approx(10 * math.log10(4))


def test_the_gates_are_those_of_the_design() -> None:
    between = {"w6": 34}
    design = {"fp32": 80, "fp16": 50, "bf16": 40, "int8": 32, "w8": 40, "w4": 28} | between
    assert design == dict(GATES_DB)
    assert DEPARTURE.keys() == GATES_DB.keys()


@pytest.mark.parametrize("lookup", [gate_db, departure])
def test_an_unknown_precision_has_no_gate(lookup: object) -> None:
    assert callable(lookup)
    with pytest.raises(UnsupportedError, match="unknown precision 'fp8': expected one of bf16"):
        lookup("fp8")
